"""`tandem report` where there is nothing to report; on a finished run: tests/project/test_report.py."""

import subprocess
import sys

import pytest


@pytest.fixture
def project(tmp_path):
    (tmp_path / "params.yaml").write_text("sources: {web: {}}\nbackbones: {one: {}}\n")
    return tmp_path


def report(folder, *options):
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "report", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_before_any_run_what_to_do_is_said_and_nothing_is_made(project):
    done = report(project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: no run has ended in this folder (metrics/evaluate.json is missing); "
        "run `dvc repro` in the project's folder\n"
    )
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_a_file_of_somebody_else_is_left_as_it_is(project):
    (project / "site").mkdir()
    (project / "site/index.html").write_text("my site")
    done = report(project, "--output", "site")
    assert done.returncode == 1
    assert done.stderr.startswith("error: site/index.html was not written by `tandem report`, or was changed since;")
    assert (project / "site/index.html").read_text() == "my site"
