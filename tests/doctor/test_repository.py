"""git, DVC and its remotes, judged of planted facts and read of real folders."""

import subprocess

import pytest

from tandem.doctor.repository import (
    Remote,
    Repository,
    dvc_cache,
    judge_remotes,
    judge_repository,
    look_at_repository,
    look_for_remotes,
)

SOUND = Repository(has_git=True, top="/project", identity="ada@example.org", has_dvc=True, needs_git=True)


@pytest.mark.parametrize(
    ("change", "levels", "words"),
    [
        ({}, ["ok", "ok"], "repository /project, author ada@example.org"),
        ({"has_git": False}, ["error", "ok"], "install git"),
        ({"has_git": False, "needs_git": False}, ["note", "ok"], "a project without git"),
        ({"top": ""}, ["error", "ok"], "this is no git repository; `git init`"),
        ({"identity": ""}, ["note", "ok"], "`git config user.email MAIL`"),
        ({"has_dvc": False}, ["ok", "error"], "`dvc init`"),
        ({"problem": "line 2"}, ["ok", "error"], "its settings cannot be read: line 2; mend .dvc/config"),
    ],
)
def test_what_git_and_dvc_lack_is_told_with_the_command(change, levels, words):
    found = judge_repository(Repository(**{**vars(SOUND), **change}))
    assert [each.level for each in found] == levels
    assert words in " ".join(map(str, found))


def project(folder, settings=""):
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(settings)
    return folder


@pytest.fixture(autouse=True)
def _no_settings_of_this_user(monkeypatch, tmp_path_factory):
    empty = str(tmp_path_factory.mktemp("settings"))
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(name, empty)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def test_a_folder_is_looked_at_by_git_and_dvc_themselves(tmp_path):
    found = look_at_repository(project(tmp_path))
    assert (found.has_git, found.top, found.identity, found.has_dvc, found.needs_git) == (True, "", "", True, True)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "user.email", "ada@example.org"], check=True)
    found = look_at_repository(tmp_path)
    assert (found.top, found.identity) == (str(tmp_path), "ada@example.org")


def test_settings_of_dvc_say_whether_git_is_needed_and_where_the_cache_is(tmp_path):
    project(tmp_path, f"[core]\n    no_scm = true\n[cache]\n    dir = {tmp_path / 'elsewhere'}\n")
    assert not look_at_repository(tmp_path).needs_git
    assert dvc_cache(tmp_path) == tmp_path / "elsewhere"


def test_settings_that_dvc_cannot_read_are_an_error(tmp_path):
    (project(tmp_path) / ".dvc/config").write_text("[core\nx")
    assert "\n" not in look_at_repository(tmp_path).problem
    (tmp_path / ".dvc/config").write_text("[core]\n    nonsense = 3\n")
    assert "nonsense" in look_at_repository(tmp_path).problem
    assert look_for_remotes(tmp_path) == []
    assert dvc_cache(tmp_path) == tmp_path / ".dvc/cache"


def test_remotes_are_those_of_the_settings(tmp_path):
    text = (
        f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {tmp_path / 'new'}\n"
        "['remote \"cloud\"']\n    url = s3://bucket/outputs\n"
    )
    found = {each.name: each for each in look_for_remotes(project(tmp_path, text))}
    assert found["disk"] == Remote("disk", str(tmp_path / "new"), is_default=True, is_there=True, has_package=True)
    assert found["cloud"].has_package
    assert not found["cloud"].is_default


def test_an_address_of_a_kind_that_dvc_does_not_know_is_an_error_of_its_settings(tmp_path):
    found = look_at_repository(project(tmp_path, "['remote \"typo\"']\n    url = s4://bucket\n"))
    assert "s4://" in found.problem


@pytest.mark.parametrize(
    ("remote", "level", "words"),
    [
        (Remote("a", "/disk", True, True, True), "ok", "DVC remote a: /disk"),
        (Remote("a", "/disk", False, True, True), "ok", "it is not the default: `dvc remote default a`"),
        (Remote("a", "/gone", True, False, True), "note", "the folder /gone is not there and cannot be made"),
        (Remote("a", "gs://bucket", True, True, False), "note", "needs the package dvc-gs; install dvc-gs"),
    ],
)
def test_a_remote_that_cannot_be_reached_in_its_way_is_told(remote, level, words):
    (found,) = judge_remotes([remote])
    assert found.level == level
    assert words in str(found)


def test_without_a_remote_outputs_stay_here_which_stops_nothing():
    (found,) = judge_remotes([])
    assert found.level == "note"
    assert "`dvc remote add --default" in found.advice
