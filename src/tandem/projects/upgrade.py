"""What a new version of tandem changes in a project's files, and the writing of it.

dvc.yaml, stages/ and what else is tandem's own is taken as it is in the installed version; files of lines to ignore get
the lines that they lack. Parameters, decisions, README, workflow and DVC's settings are the project's.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tandem.errors import DataError
from tandem.files import atomic_file
from tandem.pipeline.code.pinned import PIN_PATH, installed_version, is_clone
from tandem.pipeline.params import PARAMS_PATH
from tandem.projects.pin import requirements
from tandem.projects.repository import uncommitted
from tandem.projects.template import WORKFLOW, template_files

_OF_PROJECT = (".dvc/config", "decisions.csv", WORKFLOW)  # ends of paths
_OF_LINES = (".gitignore", ".dvcignore", ".gitattributes")
_MAX_SHOWN = 400  # letters of a line; a file with longer ones is no text for people


class FileChange(NamedTuple):
    """path: POSIX, in the project. before: None for a file that is not there."""

    path: str
    before: bytes | None
    after: bytes


def changes_of_upgrade(root: Path) -> list[FileChange]:
    """What differs in a project's files from those of the installed version, by path.

    Raises DataError for tandem's own repository and for a folder that is no project.
    """
    if is_clone(root):
        raise DataError(
            f"{root.absolute()} is tandem's own repository, of whose files projects are made; `git pull` renews it"
        )
    if missing := [name for name in ("dvc.yaml", PARAMS_PATH.name) if not (root / name).is_file()]:
        raise DataError(
            f"{root.absolute()} is no project that `tandem init` made ({missing[0]} is missing); name one, "
            "or make one: `tandem init DIR`"
        )
    files = {path: text for path, text in template_files().items() if not path.endswith(_OF_PROJECT)}
    pinned = _content(root / PIN_PATH)
    earlier = None if pinned is None else pinned.decode(errors="replace")
    files |= {PIN_PATH.name: requirements(earlier).encode()}
    for path in _OF_LINES:
        files[path] = _with_lines(_content(root / path), files[path])
    found = (FileChange(path, _content(root / path), after) for path, after in sorted(files.items()))
    return [change for change in found if change.before != change.after]


def unified_diff(changes: Sequence[FileChange]) -> str:
    """The changes as `diff -u` shows them."""
    return "".join(line for change in changes for line in _diff(change))


def require_committed(root: Path, changes: Sequence[FileChange]) -> None:
    """Raise DataError where a file that would be replaced is in no commit as it is: what it says would be lost."""
    replaced = [change.path for change in changes if change.before is not None]
    if lost := uncommitted(root, replaced):
        raise DataError(
            f"{', '.join(lost[:5])} would be replaced, and git has no copy of what is there now; commit it, and run "
            "`tandem init --upgrade` again"
        )


def write_changes(root: Path, changes: Sequence[FileChange]) -> None:
    """Write the changes, each file whole or not at all."""
    for change in changes:
        with atomic_file(root / change.path) as temporary:
            temporary.write_bytes(change.after)


def unknown_scripts(root: Path) -> list[str]:
    """Scripts in stages/ that are not of the installed version: a person's own, or those of an earlier version."""
    known = template_files()
    found = (path.relative_to(root).as_posix() for path in sorted((root / "stages").glob("*.py")))
    return [name for name in found if name not in known]


def version_in_words() -> str:
    """Of the tandem that is installed."""
    return f"tandem {installed_version()}"


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _with_lines(before: bytes | None, needed: bytes) -> bytes:
    """A file with those of the needed lines that it lacks, at its end."""
    if before is None:
        return needed
    there = set(before.splitlines())
    lacking = [line for line in needed.splitlines() if line.strip() and not line.startswith(b"#") and line not in there]
    end = b"" if before.endswith(b"\n") or not lacking else b"\n"
    return before + end + b"".join(line + b"\n" for line in lacking)


def _diff(change: FileChange) -> Iterator[str]:
    before, after = (_lines(content) for content in (change.before, change.after))
    if any(len(line) > _MAX_SHOWN for line in (*before, *after)):
        yield f"{change.path}: {len(change.before or b'')} bytes become {len(change.after)}\n"
        return
    old = "/dev/null" if change.before is None else f"a/{change.path}"
    for line in difflib.unified_diff(before, after, old, f"b/{change.path}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").splitlines(keepends=True)
