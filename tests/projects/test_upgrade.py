"""The way of a project to the installed version: what is shown, what is written, and what stays the project's."""

import subprocess

import pytest

from tandem.errors import DataError
from tandem.projects.creation import create_project
from tandem.projects.template import template_files
from tandem.projects.upgrade import (
    changes_of_upgrade,
    require_committed,
    unified_diff,
    unknown_scripts,
    write_changes,
)


@pytest.fixture
def project(folder):
    create_project(folder / "my", preset_name=None, data=[])
    return folder / "my"


def commit(project):
    subprocess.run(["git", "commit", "-qam", "ours"], cwd=project, check=True)


def changed(project, name, old, new):
    text = (project / name).read_text(encoding="utf-8")
    assert old in text
    (project / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_project_of_this_version_needs_nothing(project):
    assert changes_of_upgrade(project) == []


def test_what_differs_is_shown_and_written_and_then_nothing_differs(project):
    changed(project, "dvc.yaml", "desc: params.yaml is valid", "desc: ours")
    (project / "stages/train.py").unlink()
    (project / "requirements.txt").write_text("timm\ntandem==0.0.1\n")
    commit(project)
    changes = changes_of_upgrade(project)
    assert [change.path for change in changes] == ["dvc.yaml", "requirements.txt", "stages/train.py"]
    diff = unified_diff(changes)
    assert "--- a/dvc.yaml\n+++ b/dvc.yaml\n" in diff
    assert "-    desc: ours" in diff
    assert "+    desc: params.yaml is valid" in diff
    assert "-tandem==0.0.1\n" in diff
    assert "--- /dev/null\n+++ b/stages/train.py\n" in diff
    write_changes(project, changes)
    assert changes_of_upgrade(project) == []
    assert (project / "requirements.txt").read_text().startswith("timm\ntandem")
    assert (project / "stages/train.py").read_bytes() == template_files()["stages/train.py"]


def test_what_is_the_projects_own_is_not_touched(project):
    for name in (
        "params.yaml",
        "README.md",
        ".dvc/config",
        "data/review/decisions.csv",
        ".github/workflows/pipeline.yml",
    ):
        with (project / name).open("a", encoding="utf-8") as file:
            file.write("# ours\n")
    (project / ".github/workflows/pipeline.yml").unlink()
    assert changes_of_upgrade(project) == []


def test_lines_to_ignore_are_added_and_none_is_taken_away(project):
    (project / ".gitignore").write_text("/ours/\n__pycache__/")
    (change,) = changes_of_upgrade(project)
    lines = change.after.decode().splitlines()
    assert lines[:2] == ["/ours/", "__pycache__/"]
    assert sorted(lines[1:]) == sorted(template_files()[".gitignore"].decode().splitlines())


def test_changes_that_git_has_no_copy_of_are_not_written_over(project):
    changed(project, "dvc.yaml", "desc: params.yaml is valid", "desc: ours")
    (project / "stages/train.py").unlink()
    with pytest.raises(
        DataError, match=r"dvc\.yaml would be replaced, and git has no copy of what is there now; commit"
    ):
        require_committed(project, changes_of_upgrade(project))
    commit(project)
    require_committed(project, changes_of_upgrade(project))


def test_a_file_of_long_lines_is_named_with_its_sizes(project):
    page = project / ".dvc/plots_page/page.html"
    page.write_text("short\n")
    new = len(template_files()[".dvc/plots_page/page.html"])
    assert unified_diff(changes_of_upgrade(project)) == f".dvc/plots_page/page.html: 6 bytes become {new}\n"


def test_scripts_that_are_not_of_this_version_are_named(project):
    (project / "stages/ours.py").write_text("")
    assert unknown_scripts(project) == ["stages/ours.py"]
    assert changes_of_upgrade(project) == []


def test_a_folder_that_is_no_project_is_told(folder):
    with pytest.raises(DataError, match=rf"{folder} is no project that `tandem init` made \(dvc\.yaml is missing\)"):
        changes_of_upgrade(folder)


def test_the_repository_of_tandem_says_what_it_is(folder):
    (folder / "src/tandem").mkdir(parents=True)
    with pytest.raises(DataError, match=rf"{folder} is tandem's own repository, of whose files projects are made"):
        changes_of_upgrade(folder)
