"""The git repository of a project: a new one, or one that its folder lies in already."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tandem.errors import DataError

_FIRST = "A project made by tandem init"


def require_git() -> None:
    """Raise DataError where there is no git."""
    if shutil.which("git") is None:
        raise DataError("git is needed and was not found; install it (https://git-scm.com/downloads), and run again")


def work_tree_of(folder: Path) -> Path | None:
    """The root of the git work tree that a folder, which may not be there yet, lies or would lie in; None without one.

    A folder that the repository around it ignores lies in none.
    """
    nearest = next(each for each in (folder, *folder.parents) if each.is_dir())
    found = _git(nearest, "rev-parse", "--show-toplevel")
    if found.returncode != 0 or not found.stdout.strip():
        return None
    root = Path(found.stdout.rstrip("\n"))
    place = folder.resolve()
    is_ignored = place != root and _git(root, "check-ignore", "--quiet", str(place)).returncode == 0
    return None if is_ignored else root


def begin_repository(folder: Path) -> None:
    """Make a folder a git repository. Raises DataError with what git says where it cannot."""
    is_named = _git(folder, "config", "init.defaultBranch").returncode == 0
    done = _git(folder, *(() if is_named else ("-c", "init.defaultBranch=main")), "init", "--quiet")
    if done.returncode != 0:
        raise DataError(f"git cannot make a repository in {folder} ({_said(done)}); mend that, and run again")


def commit(folder: Path, names: Sequence[str]) -> str:
    """Commit files. Returns why git did not, "" where it did: it may not know who commits."""
    for arguments in (("add", "--force", "--", *names), ("commit", "--quiet", "-m", _FIRST, "--", *names)):
        done = _git(folder, *arguments)
        if done.returncode != 0:
            return _said(done)
    return ""


def uncommitted(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of a folder's files of which git has no copy as they are; all of them where there is no git repository."""
    there = [name for name in names if (folder / name).exists()]
    done = _git(folder, "status", "--porcelain", "--ignored", "-z", "--no-renames", "--", *there) if there else None
    if done is None:
        return []
    if done.returncode != 0:
        return there
    return [entry[3:] for entry in done.stdout.split("\0") if entry]


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The line of git's output that says why."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (fatal or lines or ["it says nothing"])[0].removeprefix("fatal: ").removeprefix("error: ")
