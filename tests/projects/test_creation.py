"""New projects: what they hold, in which repository, and that nothing is left of one that cannot be made."""

import subprocess

import pytest

from planted_data import drawn, plant_classes, zipped
from tandem.errors import DataError, SourceError
from tandem.pipeline.code.pinned import installed_version, pinned_version
from tandem.pipeline.params import read_params
from tandem.pipeline.preflight import check_project
from tandem.projects.creation import create_project
from tandem.projects.template import WORKFLOW, preset, template_files

FILES = template_files()
OWN = {"README.md", "params.yaml", "requirements.txt"}


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def names(folder):
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith(".git/")}


def create(folder, *data, preset_name=None):
    return create_project(folder, preset_name=preset_name, data=data)


def test_a_project_is_the_files_of_tandem_with_the_sample_as_its_parameters_and_one_commit(folder):
    created = create(folder / "my")
    assert (created.work_tree, created.problem) == (None, "")
    assert names(folder / "my") == {*FILES, *OWN}
    assert (folder / "my/params.yaml").read_text(encoding="utf-8") == preset("sample", FILES)
    assert (folder / "my/README.md").read_text(encoding="utf-8").startswith("# my\n")
    assert git(folder / "my", "log", "--format=%s") == "A project made by tandem init\n"
    assert git(folder / "my", "status", "--porcelain") == ""
    assert pinned_version(folder / "my") == installed_version()
    assert [path.name for path in folder.iterdir()] == ["my"]


def test_a_project_of_data_has_them_as_sources_and_is_valid(folder):
    archive = zipped(plant_classes(folder / "pets", {"cat": 8, "dog": 8}))
    created = create(folder / "my", archive)
    params, warnings = check_project(folder / "my")
    assert (list(params["sources"]), warnings) == (["pets"], [])
    assert params["backbones"]["mobilenet_v2"] == {"weights": "IMAGENET1K_V1", "size_px": 224}
    assert [source.name for source in created.sources] == ["pets"]
    assert names(folder / "my") == {*FILES, *OWN}
    create(folder / "other", archive, preset_name="sample")
    assert read_params(folder / "other/params.yaml")["backbones"]["mobilenet_v2"] == {"weights": "random"}


def test_an_empty_folder_becomes_a_project_in_its_place(folder, monkeypatch):
    (folder / "my").mkdir()
    monkeypatch.chdir(folder / "my")
    before = (folder / "my").stat().st_ino
    create(folder / "my")
    assert (folder / "my").stat().st_ino == before
    assert names(folder / "my") == {*FILES, *OWN}
    assert git(folder / "my", "status", "--porcelain") == ""


def test_a_repository_without_files_becomes_a_project_with_a_commit_more(folder):
    git(folder, "init", "-q", "my")
    git(folder / "my", "commit", "-q", "--allow-empty", "-m", "before")
    created = create(folder / "my")
    assert (created.work_tree, created.problem) == (None, "")
    assert git(folder / "my", "log", "--format=%s").splitlines() == ["A project made by tandem init", "before"]


def test_within_a_repository_nothing_is_committed_and_no_workflow_is_written(folder):
    git(folder, "init", "-q", "mono")
    created = create(folder / "mono/teams/my")
    assert created.work_tree == (folder / "mono").resolve()
    assert names(folder / "mono/teams/my") == {*FILES, *OWN} - {WORKFLOW}
    assert not (folder / "mono/teams/my/.git").exists()
    assert git(folder / "mono", "status", "--porcelain") == "?? teams/\n"


# --- what cannot be made


def test_a_folder_that_holds_something_is_left_as_it_is(folder):
    (folder / "my").mkdir()
    for name in ("a", "b", "c", "d"):
        (folder / "my" / name).touch()
    with pytest.raises(DataError, match=r"my is not empty, it holds a, b, c and 1 more; name a folder that is new"):
        create(folder / "my")
    assert names(folder / "my") == {"a", "b", "c", "d"}


def test_a_project_that_is_there_is_told_how_to_upgrade(folder):
    create(folder / "my")
    with pytest.raises(DataError, match=r"`tandem init --upgrade .*my` renews a project"):
        create(folder / "my")


def test_a_file_is_no_folder(folder):
    (folder / "my").write_text("")
    with pytest.raises(DataError, match="my is a file; name a folder that is new or empty"):
        create(folder / "my")


def test_a_project_does_not_lie_in_its_own_data(folder, monkeypatch):
    plant_classes(folder / "pets", {"cat": 8, "dog": 8})
    with pytest.raises(DataError, match=rf"my would lie in the data, {folder}/pets; name a folder beside it"):
        create(folder / "pets/my", folder / "pets")


@pytest.mark.parametrize("is_there", [False, True])
def test_of_a_project_that_cannot_be_made_nothing_is_left(folder, is_there):
    if is_there:
        (folder / "my").mkdir()
    (folder / "one").mkdir()
    (folder / "one/a.png").write_bytes(drawn(0))
    before = sorted(folder.rglob("*"))
    with pytest.raises(SourceError, match=r"there is no file or folder .*/nowhere"):
        create(folder / "my", folder / "nowhere")
    with pytest.raises(DataError, match=r"1 images lie in no class folder"):
        create(folder / "my", folder / "one")
    with pytest.raises(DataError, match=r"there is no preset 'big'; there are sample"):
        create(folder / "my", preset_name="big")
    assert sorted(folder.rglob("*")) == before


def test_without_git_nothing_is_made(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(DataError, match="git is needed and was not found"):
        create(folder / "my")
    assert list(folder.iterdir()) == []
