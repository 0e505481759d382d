"""`tandem init` as a user types it."""

import json
import sys
from contextlib import chdir

import pytest

from planted_data import plant_classes, zipped

SETTINGS = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c",
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of typer, about click


def init(folder, *arguments):
    """The exit code, and what was printed; an error ends it."""
    from typer.testing import CliRunner  # not at the top, where its warnings are errors

    from tandem.cli.main import app

    with chdir(folder):
        done = CliRunner().invoke(app, ["init", *map(str, arguments)], env=SETTINGS)
    assert done.stderr == ""
    return done.exit_code, done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a project of an archive, and how its making ended."""
    folder = tmp_path_factory.mktemp("init")
    plant_classes(folder / "pets", {"cat": 8, "dog": 9, "yak": 2, "images": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")  # without this Python's dvc
        return folder, init(folder, "my pets", "--data", zipped(folder / "pets").name)


def test_what_was_found_and_what_comes_next_is_said(made):
    code, text = made[1]
    *found, is_made, following = text.splitlines()
    assert code == 0
    assert found == [
        "pets: 20 images, format class_folders: dog 9, cat 8, yak 2",
        "  1 of them have no label and are left out, the first images/0.png (it lies in no class folder)",
        "2 classes: cat, dog",
        "  ignored: yak (2 images, and a class needs 6 to be in every split)",
    ]
    assert is_made.startswith("my pets is a project of tandem ")
    assert is_made.endswith(", in a git repository with one commit")
    assert following == f"next: cd 'my pets' && source {sys.prefix}/bin/activate && dvc repro"


def test_where_it_was_made_in_place_with_dvc_at_hand_the_run_is_all_that_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:/usr/bin:/bin")
    code, text = init(tmp_path, ".")
    assert code == 0
    assert text.splitlines()[-1] == "next: dvc repro"


def test_several_data_behind_one_option_are_all_looked_into_and_told_to_programs(tmp_path):
    plant_classes(tmp_path / "yard", {"cat": 7, "dog": 7})
    plant_classes(tmp_path / "web", {"dog": 8, "Cat": 9})
    found = json.loads(init(tmp_path, "pets", "--json", "--data", "yard", "web")[1])
    assert {name: each["images"] for name, each in found["sources"].items()} == {"yard": 14, "web": 17}
    assert (found["folder"], len(found["classes"]), found["ignored"], found["next"][-1]) == ("pets", 2, {}, "dvc repro")
    assert found.keys() == {"folder", "sources", "classes", "ignored", "next"}


def test_an_upgrade_told_to_programs_is_written_by_yes_alone(made):
    project = made[0] / "my pets"
    (project / "presets/vehicles.yaml").unlink()
    for arguments, is_written in ((), False), (("--yes",), True):
        found = json.loads(init(project, "--upgrade", "--json", *arguments)[1])
        assert (found.keys(), found["is_written"]) == ({"folder", "diff", "is_written"}, is_written)
        assert "+++ b/presets/vehicles.yaml" in found["diff"]
        assert (project / "presets/vehicles.yaml").is_file() == is_written


def test_an_upgrade_of_a_new_project_has_nothing_to_do(made):
    code, text = init(made[0] / "my pets", "--upgrade")
    assert code == 0
    assert text.startswith("the project is as tandem ")
    assert text.endswith("makes it; nothing is to be done\n")


def test_an_upgrade_is_written_by_yes_and_not_without_being_asked(made):
    project = made[0] / "my pets"
    (project / "presets/scenes.yaml").unlink()
    code, text = init(made[0], "--upgrade", "my pets")
    assert code == 1
    assert "+++ b/presets/scenes.yaml" in text
    assert text.endswith("error: nothing is written, as nobody was asked; `tandem init --upgrade --yes` writes it\n")
    assert not (project / "presets/scenes.yaml").exists()
    code, text = init(project, "--upgrade", "--yes")
    assert code == 0
    assert text.endswith("1 file written; `tandem check` says whether params.yaml still fits\n")
    assert (project / "presets/scenes.yaml").is_file()


def test_an_upgrade_that_would_lose_something_is_not_even_asked(made):
    project = made[0] / "my pets"
    with (project / "dvc.yaml").open("a", encoding="utf-8") as file:
        file.write("# ours\n")
    code, text = init(project, "--upgrade", "--yes")
    assert code == 1
    assert "-# ours\n" in text
    assert "error: dvc.yaml would be replaced, and git has no copy of what is there now; commit it" in text
    assert (project / "dvc.yaml").read_text(encoding="utf-8").endswith("# ours\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a new project needs a folder; name its folder: `tandem init DIR`; `.` is this one"),
        (["new", "data.zip"], "a project has one folder, and data.zip is too much; name data by --data"),
        (["--upgrade", "--preset", "scenes"], "--upgrade changes no parameters; leave --data and --preset away"),
        (
            ["new", "--data", "nowhere.zip"],
            "there is no file or folder {folder}/nowhere.zip; correct what --data names",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, arguments, said):
    assert init(tmp_path, *arguments) == (1, f"error: {said.format(folder=tmp_path)}\n")
    assert list(tmp_path.iterdir()) == []
