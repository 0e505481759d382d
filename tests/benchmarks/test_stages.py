"""What is required of processes, and stages that do nothing."""

import sys

import pytest
from ruamel.yaml import YAML

import stages
from scratch_project import ROOT


def test_a_stage_that_does_nothing_keeps_its_outputs_and_changes_a_byte_of_a_folder():
    stage = {
        "cmd": "python stages/export.py",
        "params": ["train"],
        "outs": [{"data/check": {"cache": False}}, "metrics/export.json"],
        "metrics": ["metrics/summary.json"],
    }
    stages.make_idle(stage)
    assert stage == {
        "cmd": "rm -f data/check/idle; echo $$ > data/check/idle",
        "params": ["train"],
        "outs": [{"data/check": {"cache": False, "persist": True}}, {"metrics/export.json": {"persist": True}}],
        "metrics": [{"metrics/summary.json": {"persist": True}}],
    }


def test_of_each_stage_of_the_pipeline_something_is_changed_but_of_the_one_that_only_writes_files():
    values = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in values.values():
        stages.make_idle(stage.get("do", stage))
    idle = {name: stage.get("do", stage)["cmd"] for name, stage in values.items()}
    assert [name for name, command in idle.items() if command == "true"] == [
        "label_errors",
        "repeated_splits",
        "evaluate",
    ]


def test_the_own_seconds_of_stages_and_those_that_ran_are_read_from_what_they_print():
    printed = (
        "Running stage 'train@one':\n> python stages/train.py one\n"
        "train@one: on validation log loss 0.279, top-1 accuracy 0.931, 1.6 s\n\n"
        "Running stage 'label_errors':\nlabel_errors: 3 label issues, 1,002 images listed for review, 12.0 s\n"
    )
    assert stages.RAN.findall(printed) == ["train@one", "label_errors"]
    assert stages.OWN_SECONDS.findall(printed) == ["1.6", "12.0"]


def test_the_least_of_rounds_by_turns_is_taken():
    measured = iter([3.0, 10.0, 2.0, 30.0, 4.0, 20.0])
    assert stages.least_of({"one": lambda: next(measured), "other": lambda: next(measured)}, 3) == {
        "one": 2.0,
        "other": 10.0,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="resource is of Unix")
def test_the_seconds_of_a_core_are_those_of_the_process():
    idle = stages.cpu_seconds("-c", "import time; time.sleep(0.5)")
    busy = stages.cpu_seconds("-c", "import time\nwhile time.process_time() < 0.5: pass")
    assert busy - idle + 0.1 > 0.45
    assert busy > idle
