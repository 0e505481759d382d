"""The committed `dvc.lock` is of this code and these parameters: `dvc repro` in a fresh clone changes none of them.

Digests of outputs are left out: the last digits of floats, and so bytes, differ from one kind of processor to the next.
`.ci/run` runs this before its own run writes another lock.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tandem.pipeline.code.listings import Code

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "dvc.lock"
AGAIN = "dvc.lock is of an earlier state; run `dvc repro` and commit dvc.lock and metrics/"

pytestmark = pytest.mark.skipif(not LOCK.is_file(), reason="no run is committed here")


def yaml(name):
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8"))


def filled(value, key, item):
    """A stage of dvc.yaml with its templates filled in, for one item of a foreach where there is one."""
    if isinstance(value, dict):
        return {filled(name, key, item): filled(each, key, item) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, key, item) for each in value]
    if isinstance(value, str):
        text = value.replace("${key}", key).replace("${curate.backbone}", PARAMS["curate"]["backbone"])
        return text.replace("${item.kind}", item["kind"]) if "${item.kind}" in text else text
    return value


def expected():
    """Stage -> its entry of dvc.yaml, as dvc.lock names them."""
    for name, stage in yaml("dvc.yaml")["stages"].items():
        if "foreach" in stage:
            for key, item in PARAMS[stage["foreach"].strip("${}")].items():
                yield f"{name}@{key}", filled(stage["do"], key, item)
        else:
            yield name, filled(stage, "", {})


def paths(entries):
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def at(key):
    value = PARAMS
    for name in key.split("."):
        value = value[name]
    return value


PARAMS = yaml("params.yaml")
STAGES = dict(expected())
each_stage = pytest.mark.parametrize("name", STAGES)


@pytest.fixture(scope="module")
def ran():
    return yaml("dvc.lock")["stages"]


def test_the_stages_that_ran_are_those_of_dvc_yaml(ran):
    assert set(ran) == set(STAGES), AGAIN


@each_stage
def test_a_stage_ran_with_the_command_files_and_parameters_of_today(ran, name):
    stage, entry = STAGES[name], ran[name]
    assert entry["cmd"] == stage["cmd"], AGAIN
    assert {dep["path"] for dep in entry.get("deps", [])} == paths(stage.get("deps", [])), AGAIN
    assert {out["path"] for out in entry["outs"]} == paths(stage.get("outs", []) + stage.get("metrics", [])), AGAIN
    tracked = entry.get("params", {}).get("params.yaml", {})
    assert tracked == {key: at(key) for key in stage.get("params", [])}, AGAIN


@each_stage
def test_a_stage_ran_with_the_code_of_today(ran, name):
    script = name.partition("@")[0]
    if script == "check":  # which writes the lists below, of all code
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "status", "check", "--json"], cwd=ROOT, check=True, capture_output=True
        )
        assert [each for each in json.loads(done.stdout).get("check", []) if "changed deps" in each] == [], AGAIN
        return
    listing = Code(ROOT).listing(ROOT / "stages" / f"{script}.py").encode()
    digests = {dep["path"]: dep["md5"] for dep in ran[name]["deps"]}
    assert digests[f"data/check/code/{script}.txt"] == hashlib.md5(listing).hexdigest(), AGAIN
