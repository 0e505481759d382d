"""A stage that starts without the project's environment: another Python, packages that are missing, an old Python."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tandem.review import mongod

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "stages"
SCRIPTS = sorted(FOLDER.glob("[!_]*.py"))
REMEDY = "activate the project's environment: `source .venv/bin/activate`; `make -B setup` makes it anew"
BARE = [sys.executable, "-s", "-S"]  # a Python that has the standard library alone
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def end_of(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TANDEM_"))}
    return subprocess.run(command, env=plain | environment, cwd=ROOT, capture_output=True, text=True, timeout=60)


@each_script
def test_a_python_without_this_project_is_told_how_to_get_it(script: Path) -> None:
    ended = end_of(*BARE, script)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"error: {sys.executable} does not have this project (No module named 'tandem'); {REMEDY}\n"
    )


def test_another_package_of_the_same_name_is_not_this_project(tmp_path: Path) -> None:
    (tmp_path / "tandem").mkdir()
    (tmp_path / "tandem/__init__.py").write_text("")
    ended = end_of(*BARE, SCRIPTS[0], PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.endswith(f"(No module named 'tandem.pipeline'); {REMEDY}\n")


@each_script
def test_a_package_that_is_missing_is_named(script: Path) -> None:
    ended = end_of(*BARE, script, PYTHONPATH=str(ROOT / "src"))
    assert (ended.returncode, ended.stdout) == (1, "")
    said = r"error: (\w+) cannot be imported in .+ \(No module named '\1'\); `make -B setup` installs .+\n"
    assert re.fullmatch(said, ended.stderr)


def test_an_old_python_is_told_that_it_is_too_old() -> None:
    code = "import sys; sys.version_info = (3, 9, 2, 'final', 0); sys.path.insert(0, 'stages'); import _start"
    ended = end_of(*BARE, "-c", code)
    assert ended.returncode == 1
    assert ended.stderr == f"error: {sys.executable} is Python 3.9.2, and 3.11 or newer is needed; {REMEDY}\n"


def test_the_oldest_python_that_is_let_in_is_the_oldest_that_the_project_supports() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    minor = required.removeprefix(">=3.")
    assert f"sys.version_info < (3, {minor})" in (FOLDER / "_start.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", [FOLDER / "_start.py", *SCRIPTS], ids=lambda path: path.stem)
def test_an_old_python_can_read_what_tells_it_so(script: Path) -> None:
    ast.parse(script.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_the_check_provides_the_database_that_curate_needs(tmp_path: Path) -> None:
    for folder in ("project", "site/fiftyone/db", "programs"):  # a FiftyOne as it is installed without its mongod
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "site/fiftyone/__init__.py").write_text("")
    real = mongod.find()
    assert real is not None
    (tmp_path / "programs/mongod").symlink_to(real)
    shutil.copytree(FOLDER, tmp_path / "project/stages")
    shutil.copy(ROOT / "params.yaml", tmp_path / "project")
    plain = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "FIFTYONE_DATABASE_URI")}
    paths = {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT / 'src'}"}
    paths["PATH"] = f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "stages/check.py"]
    subprocess.run(command, env=plain | paths, cwd=tmp_path / "project", check=True, capture_output=True)
    assert mongod.problem_with(tmp_path / "site/fiftyone/db/bin/mongod") == ""
