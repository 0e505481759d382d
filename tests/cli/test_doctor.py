"""`tandem doctor` in a project, and in a folder that is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pages import json_keys

ROOT = Path(__file__).resolve().parents[2]


def doctor(folder, *arguments, **environ):
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "doctor", *arguments]
    environment = {**os.environ, "HOME": str(folder), **environ}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_project_that_cannot_run_ends_with_code_1_and_says_why_without_a_traceback(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("batch_size: 8\n", "batch_size: 0\n", 1), encoding="utf-8")
    done = doctor(tmp_path)
    assert done.returncode == 1
    assert "train.batch_size is 0; a number from 1 on is needed" in done.stdout
    assert "error  dvc.yaml: it is missing; run from the project's folder" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_outside_of_a_project_the_machine_alone_is_examined_and_no_secret_is_printed(tmp_path):
    done = doctor(tmp_path, "--json", KAGGLE_API_TOKEN="0123456789SECRET")
    found = json.loads(done.stdout)
    assert set(found) == json_keys("tandem doctor")
    subjects = {each["subject"] for each in found["findings"]}
    assert found["is_ready"] == (done.returncode == 0)
    assert {"Python", "memory", "disk", "account kaggle"} <= subjects
    assert subjects.isdisjoint({"params.yaml", "git", "DVC remote"})
    assert "SECRET" not in done.stdout + done.stderr
