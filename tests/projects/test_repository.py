"""Git around a project: real repositories in scratch folders."""

import os
import subprocess

import pytest

from tandem.errors import DataError
from tandem.projects.repository import begin_repository, commit, require_git, uncommitted, work_tree_of


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_new_repository_begins_with_a_commit_of_the_files_alone(folder):
    begin_repository(folder)
    for name in ("a.txt", "b.txt", "other.zip"):
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("*.txt\n")
    assert commit(folder, ["a.txt", "b.txt"]) == ""
    assert git(folder, "ls-files").split() == ["a.txt", "b.txt"]
    assert git(folder, "branch", "--show-current") == "main\n"


def test_who_has_no_name_is_told_and_the_files_stay(folder, monkeypatch):
    for key in [key for key in os.environ if key.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    begin_repository(folder)
    (folder / "a.txt").write_text("a")
    assert "identity" in commit(folder, ["a.txt"]) or "email" in commit(folder, ["a.txt"])
    assert git(folder, "diff", "--cached", "--name-only") == "a.txt\n"


def test_a_folder_is_of_the_repository_around_it_unless_that_ignores_it(folder):
    assert work_tree_of(folder / "a/b") is None
    begin_repository(folder)
    assert work_tree_of(folder / "a/b") == work_tree_of(folder) == folder.resolve()
    (folder / ".gitignore").write_text("a/\n")
    assert work_tree_of(folder / "a/b") is None
    assert work_tree_of(folder / "c") == folder.resolve()


def test_files_are_uncommitted_where_git_has_no_copy_of_them(folder):
    names = ["same.txt", "changed.txt", "ignored.txt", "absent.txt"]
    assert uncommitted(folder, ["absent.txt"]) == []
    for name in names[:3]:
        (folder / name).write_text(name)
    assert uncommitted(folder, names) == names[:3]  # there is no repository
    begin_repository(folder)
    (folder / ".gitignore").write_text("ignored.txt\n")
    commit(folder, [".gitignore", "same.txt", "changed.txt"])
    (folder / "changed.txt").write_text("other")
    assert sorted(uncommitted(folder, names)) == ["changed.txt", "ignored.txt"]


def test_a_missing_git_is_told(monkeypatch, tmp_path):
    require_git()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="git is needed and was not found; install it"):
        require_git()


def test_a_repository_that_cannot_be_made_is_told_with_what_git_says(folder):
    (folder / ".git").write_text("gitdir: nowhere\n")
    with pytest.raises(DataError, match=rf"git cannot make a repository in {folder} \(.+\); mend that"):
        begin_repository(folder)
