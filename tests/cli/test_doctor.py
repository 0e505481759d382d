"""`tandem doctor` in a project, and in a folder that is none."""

import json

import pytest

from command_line import IGNORED, call
from pages import ROOT, json_keys

pytestmark = pytest.mark.filterwarnings(IGNORED)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_project_that_cannot_run_ends_with_code_1_and_says_why(tmp_path, capsys):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("batch_size: 8\n", "batch_size: 0\n", 1), encoding="utf-8")
    code, printed, said = call(capsys, "doctor")
    assert code == 1
    assert "train.batch_size is 0; a number from 1 on is needed" in printed
    assert "error  dvc.yaml: it is missing; run from the project's folder" in printed
    assert "Traceback" not in said


def test_outside_of_a_project_the_machine_alone_is_examined_and_no_secret_is_printed(monkeypatch, capsys):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "0123456789SECRET")
    code, printed, said = call(capsys, "doctor", "--json")
    found = json.loads(printed)
    assert set(found) == json_keys("tandem doctor")
    subjects = {each["subject"] for each in found["findings"]}
    assert found["is_ready"] == (code == 0)
    assert {"Python", "memory", "disk", "account kaggle"} <= subjects
    assert subjects.isdisjoint({"params.yaml", "git", "DVC remote"})
    assert "SECRET" not in printed + said
