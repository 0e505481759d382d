"""Files of another revision, by git and the real DVC: from its cache, and what is said where it has none."""

import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from dvc.repo import Repo

from tandem.errors import DataError
from tandem.reporting.revisions import write_files_at

TRACKED, IN_GIT = Path("data/table.csv"), Path("params.yaml")


def git(*words):
    subprocess.run(["git", "-c", "user.name=ada", "-c", "user.email=a@b", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two commits of a file in DVC and one in git."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pygtrie, to DVC
        patch.chdir(folder)
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        git("init", "-q", "-b", "main")
        repo = Repo.init()
        with repo.config.edit("repo") as settings:
            settings["cache"] = {"type": ["hardlink"]}
        TRACKED.parent.mkdir()
        for text in ("first", "second"):
            TRACKED.unlink(missing_ok=True)
            TRACKED.write_text(text)
            IN_GIT.write_text(f"seed: {text}\n")
            Repo().add(str(TRACKED))
            git("add", "-A")
            git("commit", "-qm", text)
        yield folder


@pytest.fixture
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project.parent / "site"))


def test_files_are_those_of_the_revision_and_the_working_tree_stays(inside, tmp_path):
    write_files_at("HEAD~1", (TRACKED, IN_GIT), tmp_path)
    assert (tmp_path / TRACKED).read_text() == "first"
    assert (tmp_path / IN_GIT).read_text() == "seed: first\n"
    assert TRACKED.read_text() == "second"
    write_files_at("main", (TRACKED,), tmp_path)
    assert (tmp_path / TRACKED).read_text() == "second"


def test_what_is_written_is_no_link_into_the_cache(inside, tmp_path):
    write_files_at("HEAD", (TRACKED,), tmp_path)
    (tmp_path / TRACKED).write_text("spoilt")
    write_files_at("HEAD", (TRACKED,), tmp_path / "again")
    assert (tmp_path / "again" / TRACKED).read_text() == "second"


@pytest.mark.parametrize(
    ("revision", "path", "words"),
    [
        ("nonsense", IN_GIT, r"there is no revision 'nonsense' here; name a commit, a branch, a tag or an experiment"),
        (
            "HEAD",
            Path("data/gone.csv"),
            r"HEAD has no data/gone.csv: no run was committed with it \(dvc.lock\); name a ",
        ),
    ],
)
def test_a_revision_or_a_file_that_there_is_not_is_told(inside, tmp_path, revision, path, words):
    with pytest.raises(DataError, match=words):
        write_files_at(revision, (path,), tmp_path)


def test_outputs_that_the_cache_has_not_are_told_with_the_command_that_fetches_them(project, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("cache", "tmp"))
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    with pytest.raises(DataError, match=r"data/table.csv of HEAD~1 is neither here .* `dvc fetch --all-commits`"):
        write_files_at("HEAD~1", (TRACKED,), tmp_path / "out")


def test_a_remote_that_was_added_after_the_revision_is_asked(project, tmp_path, monkeypatch):
    copy, remote = tmp_path / "copy", tmp_path / "remote"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copytree(project / ".dvc/cache", remote)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    with (copy / ".dvc/config").open("a") as file:
        file.write(f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {remote}\n")
    write_files_at("HEAD~1", (TRACKED,), tmp_path / "out")
    assert (tmp_path / "out" / TRACKED).read_text() == "first"


def test_a_folder_without_git_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="run from the project's folder"):
        write_files_at("HEAD", (IN_GIT,), tmp_path / "out")


def commit_of(folder, monkeypatch, files):
    """A repository of git and DVC with one commit of these files, in the current folder; none is made of no files."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
    git("init", "-q")
    Repo.init()
    for name, text in files.items():
        (folder / name).write_text(text)
    if files:
        git("add", "-A")
        git("commit", "-qm", "as it is")


PIPELINE = (
    "stages:\n  merge:\n    cmd: 'true'\n    outs: [data/merge]\n  curate:\n    cmd: 'true'\n    outs: [data/curate]\n"
)
MERGED = "{cmd: 'true', outs: [{path: data/merge, md5: 00000000000000000000000000000000.dir}]}"
RUN = f"schema: '2.0'\nstages:\n  merge: {MERGED}\n"


@pytest.mark.parametrize(
    ("files", "path", "words"),
    [
        ({}, "data/merge/index.csv", r"no revision 'HEAD' here; .*, or commit first where nothing is committed yet$"),
        ({"dvc.yaml": PIPELINE}, "data/merge/index.csv", r"HEAD has no data/merge/index.csv: no run was committed "),
        (
            {"dvc.yaml": PIPELINE},
            "data/merge",
            r"HEAD has no data/merge: no run was committed with it \(dvc.lock\); name",
        ),
        (
            {"dvc.yaml": PIPELINE, "dvc.lock": RUN},
            "data/curate/samples.csv",
            r"HEAD has no data/curate/samples.csv: its dvc.lock names no run that wrote it; name a revision with "
            r"a finished run \(`git log --oneline dvc.lock` lists them\), or finish one by `dvc repro` and commit ",
        ),
        (
            {"dvc.yaml": PIPELINE, "dvc.lock": RUN},
            "data/merge/index.csv",
            r"of HEAD is neither here .*`dvc fetch --all",
        ),
    ],
    ids=["no commit", "no run", "no run, a folder", "half a run", "a run that is not here"],
)
def test_a_revision_without_the_run_is_told_apart_from_one_whose_files_are_elsewhere(
    files, path, words, tmp_path, monkeypatch
):
    commit_of(tmp_path / "project", monkeypatch, files)
    with pytest.raises(DataError, match=words) as raised:
        write_files_at("HEAD", (Path(path),), tmp_path / "out")
    assert "Errno" not in str(raised.value)
