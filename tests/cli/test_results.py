"""`tandem results` where dvc has not run; what it says after a run is tested in project/test_pipeline.py."""

import json
import subprocess
import sys
from pathlib import Path

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from pages import json_keys
from tandem.cli.results import _experiments, without_common

ROOT = Path(__file__).resolve().parents[2]
SCORES = {
    "top1_accuracy": 0.9,
    "macro_f1": 0.85,
    "log_loss": 0.25,
    "ece": 0.031,
    "interval": {"top1_accuracy": {"low": 0.8, "high": 0.96}},
}
EVALUATION = {
    "selected": {"model": "vgg11", **SCORES},
    "models": {"vgg11": SCORES},
    "exported": SCORES,
    "selected_minus_best_single": {
        "single": "vgg11",
        "top1_accuracy": {"value": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0},
    },
    "student_minus_selected": {"top1_accuracy": {"value": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}},
    "images": 66,
}
LOCK = """\
schema: '2.0'
stages:
  merge:
    cmd: python stages/merge.py
    params:
      params.yaml:
        sources:
          web: {kind: kaggle, kaggle: {dataset: a/b, version: 3, sha256: null}, format: auto}
  train@vgg11:
    cmd: python stages/train.py vgg11
    params:
      params.yaml:
        train: {lr: 0.001, epochs: 5}
"""
PARAMS = """\
sources:
  web: {kind: kaggle, kaggle: {dataset: a/b, version: 3, sha256: null}, format: auto}
backbones: {vgg11: {weights: random}}
train: {lr: 0.001, epochs: 5}
"""


def results(folder, *options):
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "results", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def plant(folder, *, has_run=True, params=PARAMS):
    """The files of a run, or those alone that are in git."""
    metrics = {"summary.json": {"images": 90}}
    if has_run:
        metrics |= {
            "evaluate.json": EVALUATION,
            "repeated_splits.json": {"seeds": []},
            "curate.json": {"images": 90, "used": 80},
        }
    (folder / "metrics").mkdir()
    for name, value in metrics.items():
        (folder / "metrics" / name).write_text(json.dumps(value), encoding="utf-8")
    (folder / "dvc.lock").write_text(LOCK, encoding="utf-8")
    (folder / "params.yaml").write_text(params, encoding="utf-8")


def test_results_before_any_run_say_what_to_do(tmp_path):
    done = results(tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: nothing has run in this folder yet (metrics/evaluate.json is missing); "
        "run `dvc repro` in the project's folder\n"
    )


def test_results_that_came_with_a_clone_are_not_shown_as_the_users_own(tmp_path):
    plant(tmp_path, has_run=False)
    done = results(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: nothing has run in this folder yet (metrics/evaluate.json is missing; metrics/summary.json is of the "
        "run that was committed); run `dvc repro` in the project's folder\n"
    )


def test_results_name_their_data_and_show_every_model(tmp_path):
    plant(tmp_path)
    done = results(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("data: 90 images, 80 used, of web (kaggle, dataset a/b, version 3)\n")
    assert "vgg11 (selected)  0.900 (0.800-0.960)" in done.stdout
    assert "where to look next" in done.stdout


def test_results_of_other_parameters_are_said_to_be_that_with_the_values_then_and_now(tmp_path):
    plant(tmp_path, params=PARAMS.replace("0.001", "0.5"))
    done = results(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "results of OTHER PARAMETERS than those in params.yaml" in done.stdout
    assert "\n  train.lr: 0.001, now 0.5\n" in done.stdout


def test_many_differences_are_counted_and_not_all_listed(tmp_path):
    plant(tmp_path, params=PARAMS.replace("epochs: 5", ", ".join(f"key{number}: 1" for number in range(20))))
    lines = results(tmp_path).stdout.splitlines()
    assert len([line for line in lines if ", now " in line]) == 8
    assert "  and 13 more" in lines


def test_where_dvc_cannot_tell_the_results_are_shown_and_say_so(tmp_path):
    plant(tmp_path)
    done = results(tmp_path)
    assert "whether the data are the same is not known: `dvc status` failed" in done.stdout


def test_results_are_one_object_for_programs(tmp_path):
    plant(tmp_path, params=PARAMS.replace("0.001", "0.5"))
    found = json.loads(results(tmp_path, "--json").stdout)
    assert set(found) == json_keys("tandem results")
    assert found["data"]["used"] == 80
    assert found["data"]["sources"]["web"]["kind"] == "kaggle"
    assert found["changed_params"] == [{"key": "train.lr", "ran_with": 0.001, "is_now": 0.5}]
    assert found["stale_stages"] is None  # this folder is none of DVC's
    assert found["evaluation"] == EVALUATION


SHOWN = [  # by `dvc exp show --json`
    {
        "rev": "workspace",
        "name": None,
        "data": {"params": {"params.yaml": {"data": {"train": {"lr": 0.1, "seed": 0}}}}},
    },
    {
        "rev": "aa11",
        "name": "main",
        "data": {
            "params": {"params.yaml": {"data": {"train": {"lr": 0.1, "seed": 0}}}},
            "metrics": {"metrics/summary.json": {"data": {"top1_accuracy": 0.9}}},
        },
        "experiments": [
            {"name": "small", "revs": [{"rev": "bb22", "name": "small", "data": {
                "params": {"params.yaml": {"data": {"train": {"lr": 0.2, "seed": 0}}}},
                "metrics": {"metrics/summary.json": {"data": {"top1_accuracy": 0.8}}},
            }}]},
            {"name": "broken", "revs": [{"rev": "cc33", "name": "broken", "error": {"msg": "it failed", "type": "X"}}]},
        ],
    },
]  # fmt: skip


def test_experiments_are_rows_with_their_scores_and_the_parameters_that_differ():
    workspace, main, small, broken = without_common(list(_experiments(SHOWN)))
    assert (workspace["name"], workspace["metrics"], workspace["params"]) == (None, {}, {"train.lr": 0.1})
    assert (main["baseline"], main["metrics"]) == (None, {"top1_accuracy": 0.9})
    assert (small["name"], small["baseline"], small["params"]) == ("small", "aa11", {"train.lr": 0.2})
    assert (broken["error"], broken["params"]) == ("it failed", {})
