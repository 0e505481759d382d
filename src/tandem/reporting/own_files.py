"""A folder of files that a command writes again and again, and that people may edit: theirs are never overwritten."""

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from tandem.errors import DamagedFileError, DataError
from tandem.files import read_json, sha256, write_json, write_text

NOTE = ".tandem_report.json"  # name of a file -> digests of what was written there


def require_own_folder(folder: Path, names: Collection[str]) -> None:
    """Raises DataError, before anything is computed, where write_own_files could not write files of these names.

    Nor may there be a file of such a name that it has not written, or that was changed since.
    """
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists() or each.is_symlink())
    if not nearest.is_dir():
        raise DataError(f"no report can be written to {folder}: {nearest} is no folder; name another one by --output")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"no report can be written to {folder}: {nearest} is read-only; name another one by --output")
    noted = _noted(folder)
    for path in (folder / name for name in names):
        is_own = path.is_file() and not path.is_symlink() and sha256(path) in noted.get(path.name, ())
        if not is_own and (path.exists() or path.is_symlink()):
            raise DataError(
                f"{path} was not written by `tandem report`, or was changed since; move it away, or name another "
                "folder by --output"
            )


def write_own_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files, each whole or not at all, and note their digests, by which the next run knows them."""
    noted = _noted(folder)
    digests = {name: [hashlib.sha256(text.encode()).hexdigest()] for name, text in texts.items()}
    # before and after: a run that is cut short leaves files of either digest
    write_json(folder / NOTE, noted | {name: [*noted.get(name, []), *digests[name]] for name in texts})
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / NOTE, noted | digests)


def _noted(folder: Path) -> dict[str, list[str]]:
    try:
        return {str(name): list(map(str, digests)) for name, digests in read_json(folder / NOTE).items()}
    except (DamagedFileError, AttributeError, TypeError):
        return {}
