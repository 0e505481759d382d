"""`tandem init` as a user types it."""

import os
import subprocess
import sys

import pytest

from planted_data import plant_classes, zipped

SETTINGS = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c",
}  # fmt: skip


def init(folder, *arguments, text=""):
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "init", *map(str, arguments)]
    environ = {**os.environ, **SETTINGS}
    return subprocess.run(command, cwd=folder, env=environ, input=text, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a project of an archive, and how its making ended."""
    folder = tmp_path_factory.mktemp("init")
    plant_classes(folder / "pets", {"cat": 8, "dog": 9, "yak": 2, "images": 1})
    return folder, init(folder, "my pets", "--data", zipped(folder / "pets").name)


def test_what_was_found_and_what_comes_next_is_said(made):
    _, done = made
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "pets: 20 images, format class_folders: dog 9, cat 8, yak 2",
        "  1 of them have no label and are left out, the first images/0.png (it lies in no class folder)",
        "2 classes: cat, dog",
        "  ignored: yak (2 images, and a class needs 6 to be in every split)",
        lines[4],
    ]
    assert lines[4].startswith("my pets is a project of tandem ")
    assert lines[4].endswith(", in a git repository with one commit")
    assert lines[5].startswith("next: cd 'my pets' && ")
    assert lines[5].endswith("dvc repro")
    assert len(lines) == 6


def test_an_upgrade_of_a_new_project_has_nothing_to_do(made):
    done = init(made[0] / "my pets", "--upgrade")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("makes it; nothing is to be done\n")


def test_an_upgrade_is_written_by_yes_and_not_without_being_asked(made):
    project = made[0] / "my pets"
    (project / "presets/scenes.yaml").unlink()
    done = init(made[0], "--upgrade", "my pets")
    assert done.returncode == 1
    assert "+++ b/presets/scenes.yaml" in done.stdout
    assert done.stderr == "error: nothing is written, as nobody was asked; `tandem init --upgrade --yes` writes it\n"
    assert not (project / "presets/scenes.yaml").exists()
    done = init(project, "--upgrade", "--yes")
    assert done.returncode == 0
    assert done.stdout.endswith("1 file written; `tandem check` says whether params.yaml still fits\n")
    assert (project / "presets/scenes.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a new project needs a folder; name its folder: `tandem init DIR`; `.` is this one"),
        (["--upgrade", "--preset", "scenes"], "--upgrade changes no parameters; leave --data and --preset away"),
        (
            ["new", "--data", "nowhere.zip"],
            "there is no file or folder {folder}/nowhere.zip; correct what --data names",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, arguments, said):
    done = init(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {said.format(folder=tmp_path)}\n"
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_that_would_lose_something_is_not_even_asked(made):
    project = made[0] / "my pets"
    text = (project / "dvc.yaml").read_text(encoding="utf-8")
    (project / "dvc.yaml").write_text(text + "# ours\n", encoding="utf-8")
    done = init(project, "--upgrade", "--yes")
    assert done.returncode == 1
    assert "-# ours\n" in done.stdout
    assert done.stderr.startswith("error: dvc.yaml would be replaced, and git has no copy of what is there now; commit")
    assert (project / "dvc.yaml").read_text(encoding="utf-8").endswith("# ours\n")
