"""The table of checks: all of them run, those of projects only in one, and one that fails stops no other."""

import os
import shutil
from pathlib import Path

from tandem.doctor import checkup
from tandem.doctor.checkup import Check, Site, examine
from tandem.doctor.findings import Diagnosis
from tandem.doctor.project import read_project
from tandem.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def test_every_check_says_something_of_a_project_and_those_of_projects_nothing_elsewhere(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    site = Site(read_project(tmp_path), environ, {"data/": tmp_path}, {"TMPDIR": tmp_path}, ROOT / "requirements.lock")
    subjects = [each.subject for each in examine(site)]
    assert subjects[0] == "Python"
    for start in ("packages", "torch", "GPU", "memory", "disk", "open files", "mongod", "account kaggle"):
        assert start in subjects
    for start in ("params.yaml", "lock files", "git", "DVC", "DVC remote", "weights"):
        assert any(each.startswith(start) for each in subjects)
    elsewhere = {each.subject for each in examine(Site(None, environ, {"this folder": tmp_path}, {}))}
    assert elsewhere.isdisjoint(
        {"python of the stages", "params.yaml", "lock files", "git", "DVC", "weights", "requirements.lock"}
    )
    assert {"Python", "memory", "mongod"} <= elsewhere


def test_a_check_that_fails_says_so_and_the_others_go_on(monkeypatch):
    def fail(_site):
        raise DataError("dvc.lock cannot be read")

    def succeed(_site):
        return [Diagnosis("memory", "ok", "20 GB")]

    monkeypatch.setattr(checkup, "CHECKS", (Check("lock", fail), Check("memory", succeed)))
    assert [str(each) for each in examine(Site(None, {}, {}, {}))] == [
        "note   lock: it could not be looked at: dvc.lock cannot be read",
        "OK     memory: 20 GB",
    ]
