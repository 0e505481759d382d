"""A mongod for FiftyOne: found, linked or installed, and the message where there is none."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tandem.errors import ReviewError
from tandem.review import mongod


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def working_mongod(path):
    return script(path, "echo db version v7.0.1")


def refuse_to_install():
    raise AssertionError("nothing should be installed")


def test_the_mongod_that_is_found_runs():
    found = mongod.find()
    assert found is not None, "run `tandem setup`"
    assert "db version v" in subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout


def test_the_folder_is_the_one_in_which_fiftyone_looks():
    assert mongod.fiftyone_folder().parts[-3:] == ("fiftyone", "db", "bin")
    assert (mongod.fiftyone_folder().parent / "__init__.py").is_file()


def test_the_mongod_in_fiftyone_is_preferred_to_one_on_the_path(tmp_path):
    bundled, on_path = working_mongod(tmp_path / "bin" / "mongod"), working_mongod(tmp_path / "path" / "mongod")
    assert mongod.find(bundled.parent, search_path=str(on_path.parent)) == bundled


def test_a_mongod_on_the_path_is_linked_to_where_fiftyone_looks(tmp_path):
    on_path = working_mongod(tmp_path / "path" / "mongod")
    provided = mongod.provide(
        folder=tmp_path / "bin", search_path=str(on_path.parent), machine="Linux x86_64", install=refuse_to_install
    )
    assert provided == tmp_path / "bin" / "mongod"
    assert provided.resolve() == on_path
    assert mongod.problem_with(provided) == ""


def test_a_mongod_that_does_not_run_is_replaced_by_one_that_does(tmp_path):
    unusable = script(tmp_path / "bin" / "mongod", "echo libcrypto.so.3: cannot open >&2; exit 127")
    assert mongod.problem_with(unusable) == "does not run: libcrypto.so.3: cannot open"
    on_path = working_mongod(tmp_path / "path" / "mongod")
    provided = mongod.provide(
        folder=unusable.parent, search_path=str(on_path.parent), machine="Linux x86_64", install=refuse_to_install
    )
    assert provided.resolve() == on_path


def test_the_wheel_is_installed_where_it_runs(tmp_path):
    def install():
        working_mongod(tmp_path / "bin" / "mongod")
        return "installed"

    provided = mongod.provide(folder=tmp_path / "bin", search_path="", machine="Linux x86_64", install=install)
    assert provided == tmp_path / "bin" / "mongod"


def test_without_any_mongod_the_message_says_where_it_was_sought_and_what_to_do(tmp_path):
    with pytest.raises(ReviewError) as raised:
        mongod.provide(folder=tmp_path, search_path="", machine="Darwin arm64", install=refuse_to_install)
    message = str(raised.value)
    assert f"{tmp_path / 'mongod'} does not exist; mongod on PATH does not exist" in message
    assert f"{mongod.WHEEL} is for Linux x86_64 and this is Darwin arm64" in message
    assert "Install MongoDB 6.0 or later" in message
    assert "set FIFTYONE_DATABASE_URI" in message


def test_an_installation_that_fails_is_quoted(tmp_path):
    with pytest.raises(ReviewError, match=f"installing {mongod.WHEEL} did not help: no network"):
        mongod.provide(folder=tmp_path, search_path="", machine="Linux x86_64", install=lambda: "no network")


def test_an_old_mongod_is_named_with_its_version(tmp_path):
    old = script(tmp_path / "mongod", "echo db version v4.4.29")
    assert mongod.problem_with(old) == "is db version v4.4, too old for FiftyOne"
    assert mongod.find(tmp_path, search_path="") is None


def test_a_file_that_cannot_be_started_has_a_problem(tmp_path):
    text = tmp_path / "mongod"
    text.write_text("no program")
    assert "does not run: " in mongod.problem_with(text)


@pytest.mark.parametrize("uri", ["", "mongodb://127.0.0.1:9"])
def test_the_command_is_quiet_when_there_is_nothing_to_do(uri, tmp_path):
    environment = {**os.environ, "FIFTYONE_DATABASE_URI": uri}
    command = [Path(sys.executable).with_name("tandem"), "setup"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_environment_without_pip_and_uv_installs_all_the_same(tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    code = (
        "import subprocess; from tandem.review.mongod import _installer; "
        "subprocess.run([*_installer(), '--help'], check=True)"
    )
    environ = {"PATH": "/nowhere", "PYTHONPATH": str(Path(mongod.__file__).parents[2])}
    command = [tmp_path / "venv/bin/python", "-c", code]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
    assert "pip install [options]" in done.stdout
