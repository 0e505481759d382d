"""A project with another tandem than it pins is an error that says so; a clone of tandem never is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.errors import VersionError
from tandem.pipeline.code.listings import Code, write_listings
from tandem.pipeline.code.pinned import (
    LISTINGS,
    PACKAGE,
    PIN_PATH,
    installed_version,
    pinned_version,
    require_listed,
    require_pinned,
)

ROOT = Path(__file__).resolve().parents[2]
STAGE = "from _start import run\n\n\ndef main():\n    return 'done'\n\n\nif __name__ == '__main__':\n    run(main)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one short stage, for the tandem that is installed."""
    (tmp_path / "stages").mkdir()
    shutil.copy(ROOT / "stages/_start.py", tmp_path / "stages")
    (tmp_path / "stages/short.py").write_text(STAGE)
    (tmp_path / PIN_PATH).write_text(f"tandem=={installed_version()}\n")
    return tmp_path


def run_stage(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "stages/short.py"], cwd=project, env=os.environ, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("tandem==1.2.3\n", "1.2.3"),
        ("# tandem==0.9 once\ntimm\ntandem[s3,log] == 1.2.3 ; python_version > '3'\n", "1.2.3"),
        ("tandem @ git+https://example.org/tandem@3f2a  # version 1.2.3\n", "1.2.3"),
        ("tandem-client==7\ntandem==1.2.3", "1.2.3"),
    ],
)
def test_a_pin_is_read_in_each_form_that_pip_reads(tmp_path: Path, text: str, version: str) -> None:
    (tmp_path / PIN_PATH).write_text(text)
    assert pinned_version(tmp_path) == version


@pytest.mark.parametrize("text", ["", "tandem\n", "tandem>=1\n", "tandem @ git+https://example.org/tandem\n"])
def test_a_file_without_a_version_is_told_which_line_it_lacks(tmp_path: Path, text: str) -> None:
    (tmp_path / PIN_PATH).write_text(text)
    with pytest.raises(VersionError, match=rf"requirements\.txt does not say .* `tandem=={installed_version()}`"):
        pinned_version(tmp_path)


def test_a_clone_of_tandem_and_a_folder_without_a_pin_pin_nothing(tmp_path: Path) -> None:
    assert pinned_version(tmp_path) is pinned_version(ROOT) is None
    (tmp_path / "src/tandem").mkdir(parents=True)
    (tmp_path / PIN_PATH).write_text("tandem==0.0.1\n")
    require_pinned(tmp_path)


def test_a_stage_under_another_version_than_the_pinned_one_ends_in_one_message(project: Path) -> None:
    assert run_stage(project).returncode == 0
    (project / PIN_PATH).write_text("tandem==0.0.1\n")
    ended = run_stage(project)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"error: this project is for tandem 0.0.1 (requirements.txt), and {installed_version()} is installed in "
        f"{PACKAGE.parent}; `pip install -r requirements.txt` gets the one, `tandem init --upgrade` takes the project "
        "to the other\n"
    )


def test_a_stage_whose_code_is_not_as_it_was_listed_ends_in_one_message(project: Path) -> None:
    write_listings(project / "stages", project / LISTINGS, root=project)
    require_listed("short", project)
    assert run_stage(project).returncode == 0
    listing = project / LISTINGS / "short.txt"
    lines = [f"{'0' * 64}{line[64:]}" if "/run.py" in line else line for line in listing.read_text().splitlines()]
    listing.write_text("\n".join(lines) + "\n")
    ended = run_stage(project)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "(run.py differs), though its version is the same" in ended.stderr
    assert "`dvc repro -f -s check` lists it anew" in ended.stderr


def test_code_that_is_installed_has_the_listing_of_a_clone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    assert not (tmp_path / "src").exists()
    for name in ("check", "train"):
        script = Path("stages", f"{name}.py")
        assert Code(tmp_path).listing(tmp_path / script) == Code(ROOT).listing(ROOT / script)
