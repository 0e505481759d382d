import pytest

from tandem.errors import DataError
from tandem.pipeline.lock import (
    ABSENT,
    ParamChange,
    changed_params,
    read_lock,
    require_whole_locks,
    sources_of_run,
)

PARAMS = {
    "sources": {"web": {"kind": "archive", "archive": {"path": "web.zip"}, "format": "auto"}},
    "backbones": {"resnet18": {"weights": "random"}},
    "train": {"lr": 0.01, "epochs": 5, "head": "linear"},
    "study": {"lr": [0.1, 0.01]},
    "runtime": {"workers": 2},
}


def stage(**params):
    return {"cmd": "python", "params": {"params.yaml": {key.replace("__", "."): each for key, each in params.items()}}}


def run_with(params):
    """The stages of a lock after a run with these parameters, sections and single keys."""
    return {
        "check": {"cmd": "python"},
        "download@web": stage(sources__web__kind="archive", sources__web__archive=params["sources"]["web"]["archive"]),
        "merge": stage(sources=params["sources"]),
        "train@resnet18": stage(train=params["train"]),
        "study": stage(backbones=params["backbones"], study=params["study"], train__epochs=params["train"]["epochs"]),
    }


def changed(section, **values):
    return PARAMS | {section: PARAMS[section] | values}


def test_a_run_with_these_parameters_differs_in_nothing():
    assert changed_params(run_with(PARAMS), PARAMS) == []


def test_a_parameter_is_named_once_with_its_value_then_and_now():
    now = changed("train", lr=0.5, epochs=6)
    assert changed_params(run_with(PARAMS), now) == [
        ParamChange("train.lr", 0.01, 0.5),
        ParamChange("train.epochs", 5, 6),
    ]
    assert changed_params(run_with(PARAMS), changed("study", lr=[0.1])) == [ParamChange("study.lr", [0.1, 0.01], [0.1])]


def test_what_changes_no_result_is_no_difference():
    assert changed_params(run_with(PARAMS), changed("runtime", workers=8)) == []


def test_what_was_added_and_what_was_removed_is_absent_on_one_side():
    added = changed_params(run_with(PARAMS), changed("backbones", vgg11={"weights": "random"}))
    assert added == [ParamChange("backbones.vgg11", ABSENT, {"weights": "random"})]
    without = {key: value for key, value in PARAMS["train"].items() if key != "head"}
    assert changed_params(run_with(PARAMS), PARAMS | {"train": without}) == [
        ParamChange("train.head", "linear", ABSENT)
    ]


def test_a_stage_that_failed_after_another_had_run_shows_the_difference():
    now = changed("train", epochs=6)
    half = run_with(PARAMS) | {"train@resnet18": run_with(now)["train@resnet18"]}
    assert changed_params(half, now) == [ParamChange("train.epochs", 5, 6)]


def test_stages_of_sources_and_backbones_that_were_removed_long_ago_do_not_count():
    left = {
        "extract@vgg11": stage(backbones__vgg11={"weights": "random"}),
        "download@old": stage(sources__old__kind="sample"),
    }
    assert changed_params(run_with(PARAMS) | left, PARAMS) == []


def test_the_lock_is_read_by_stage_and_its_absence_is_no_stage(tmp_path):
    assert read_lock(tmp_path / "dvc.lock") == {}
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  merge:\n    cmd: python\n", encoding="utf-8")
    assert read_lock(tmp_path / "dvc.lock") == {"merge": {"cmd": "python"}}


def test_the_sources_are_those_that_the_merge_ran_with():
    assert sources_of_run(run_with(PARAMS)) == PARAMS["sources"]
    assert sources_of_run({}) == {}


LOCK = """schema: '2.0'
stages:
  check:
    cmd: python stages/check.py
    deps:
    - path: stages
      hash: md5
      md5: 46f9e5b9d76a5b6d2a9ea5dc2a9e4c58.dir
"""


@pytest.mark.parametrize("word", ["schema", "stages", "  check", "stages\n", "      hash", " 46f"])
def test_a_lock_that_was_cut_before_a_word_is_told_with_the_way_to_have_it_again(tmp_path, word):
    (tmp_path / "dvc.lock").write_text(LOCK)
    require_whole_locks(tmp_path)
    (tmp_path / "dvc.lock").write_text(LOCK[: LOCK.index(word)])
    said = r"/dvc\.lock cannot be read; take it from git again: `git checkout dvc\.lock`$"
    with pytest.raises(DataError, match=said):
        require_whole_locks(tmp_path)


@pytest.mark.parametrize("text", ["", '{"write": {'])
def test_dvcs_lock_of_readers_and_writers_that_was_cut_is_told_with_the_command_that_removes_it(tmp_path, text):
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True)
    path.write_text('{"write": {}, "read": {}}')
    require_whole_locks(tmp_path)
    path.write_text(text)
    with pytest.raises(DataError, match=rf"rwlock was cut short when dvc was killed; remove it: `rm {path}`$"):
        require_whole_locks(tmp_path)
    path.unlink()
    require_whole_locks(tmp_path)
