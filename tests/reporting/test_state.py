import hashlib
import subprocess

import pytest

from tandem.errors import DataError
from tandem.reporting.state import RunState, params_of_run, read_state, stale_stages

LOCK = """\
schema: '2.0'
stages:
  train@one:
    cmd: python stages/train.py one
    params:
      params.yaml:
        train: {lr: 0.01}
"""


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_changed_parameter_is_named_and_dvc_is_not_asked(tmp_path):
    (tmp_path / "dvc.lock").write_text(LOCK)
    state = read_state(tmp_path, {"backbones": {"one": {}}, "train": {"lr": 0.1}})
    assert [(each.key, each.ran_with, each.is_now) for each in state.changed] == [("train.lr", 0.01, 0.1)]
    assert not state.is_current
    assert state.lock_sha256 == hashlib.sha256(LOCK.encode()).hexdigest()
    assert (state.commit, state.is_dirty, state.problem) == ("", False, "")
    assert state.versions["numpy"]


def test_the_commit_and_changes_since_are_stated_and_untracked_files_are_none(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "dvc.lock").write_text(LOCK)
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "-qm", "one")
    params = {"backbones": {"one": {}}, "train": {"lr": 0.1}}
    (tmp_path / "report.html").write_text("of the last report")
    clean = read_state(tmp_path, params)
    assert len(clean.commit) == 40
    assert len(clean.commit_date) == len("2026-11-28")
    assert not clean.is_dirty
    (tmp_path / "dvc.lock").write_text(LOCK + "# changed\n")
    assert read_state(tmp_path, params).is_dirty


def test_what_dvc_cannot_say_is_a_problem_and_not_up_to_date(tmp_path):
    stale, problem = stale_stages(tmp_path)  # no repository of dvc
    assert stale == ()
    assert problem.startswith("`dvc status` failed: ERROR")
    assert not RunState((), stale, problem, "", "", False, "", {}).is_current
    assert RunState((), (), "", "", "", False, "", {}).is_current


def test_a_damaged_lock_is_said(tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: [")
    with pytest.raises(DataError, match=r"dvc\.lock cannot be read"):
        read_state(tmp_path, {})


def test_the_parameters_of_the_run_are_those_of_dvcs_lock_and_what_no_stage_tracks_is_as_it_is_now(tmp_path):
    (tmp_path / "dvc.lock").write_text("""\
stages:
  merge:
    params:
      params.yaml:
        sources: {old: {kind: sample}}
  study:
    params:
      params.yaml:
        train.seed: 3
        backbones: {one: {weights: random}}
  train@gone:
    params:
      params.yaml:
        backbones.gone: {weights: random}
""")
    now = {"sources": {"new": {}}, "train": {"seed": 4, "lr": 0.1}, "backbones": {"two": {}}, "report": {"title": "x"}}
    assert params_of_run(tmp_path, now) == {
        "sources": {"old": {"kind": "sample"}},
        "train": {"seed": 3, "lr": 0.1},
        "backbones": {"one": {"weights": "random"}},
        "report": {"title": "x"},
    }
    assert now["train"]["seed"] == 4
    assert params_of_run(tmp_path / "nowhere", now) == now
