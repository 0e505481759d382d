"""A zip, a tar or a folder that the user already has. It is read, never changed."""

import os
import shutil
import stat
from pathlib import Path

from tqdm import tqdm

from tandem import files
from tandem.errors import SourceError
from tandem.sources.receipts import Fetched
from tandem.sources.unpack import is_junk, name_problem, unpack

KIND = "archive"


def fetch(target: Path, *, path: Path, sha256: str | None) -> Fetched:
    """Write what `path` holds to the folder `target`, which is replaced only when all went well.

    sha256: expected digest, None to take any: of an archive's bytes, or files.tree_sha256 of a folder without
    its litter (unpacking.is_litter). Raises SourceError when `path` is missing, empty, unsafe, of another digest,
    or when one of the two folders would lie in the other.
    """
    if not path.exists():
        raise SourceError(f"there is no file or folder {path.absolute()}; put it there, or correct the source's path")
    _require_apart(path, target)
    if path.is_file():
        return _fetch_archive(target, path, sha256)
    if path.is_dir():
        return _fetch_folder(target, path, sha256)
    raise SourceError(f"{path} is neither a file nor a folder; name a zip, a tar or a folder")


def _fetch_archive(target: Path, path: Path, expected: str | None) -> Fetched:
    try:
        found = files.sha256(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check its permissions and its disk") from None
    _require_digest(path, expected, found)
    with files.atomic_dir(target) as folder:
        unpack(path, folder)
    return Fetched(what=path.as_posix(), version="", sha256=found)


def _fetch_folder(target: Path, path: Path, expected: str | None) -> Fetched:
    names = _names(path)
    if not names:
        raise SourceError(f"folder {path} holds no files; fill it, or correct the source's path")
    with files.atomic_dir(target) as folder:
        for name in tqdm(names, f"copy {path.name}", unit="file", disable=None):
            _copy(name, path, folder)
        found = files.dir_sha256(folder)
        _require_digest(path, expected, found)
    return Fetched(what=path.as_posix(), version="", sha256=found)


def _names(root: Path) -> list[str]:
    """Relative POSIX paths of all regular files, sorted; links, devices and unfit names are refused."""
    names = []
    for parent, folders, plain in os.walk(root, onerror=_refuse_unreadable):
        for path in (Path(parent, name) for name in (*folders, *plain)):
            name, mode = path.relative_to(root).as_posix(), path.lstat().st_mode
            if is_junk(name):
                continue
            flaw = name_problem(name) or _kind_flaw(mode)
            if flaw:
                raise SourceError(f"folder {root}: {name!r} {flaw}; replace, rename or remove it")
            names += [name] if stat.S_ISREG(mode) else []
    return sorted(names)


def _kind_flaw(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is a device or another special file"


def _copy(name: str, root: Path, folder: Path) -> None:
    """Copy the bytes: with a hard link, a change of the copy would change the user's file."""
    try:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, folder / name, follow_symlinks=False)
    except OSError as error:
        room = f"{(root / name).stat().st_size} bytes are needed, {shutil.disk_usage(folder).free} are free"
        raise SourceError(
            f"{root / name} cannot be copied to {folder}: {error.strerror} ({room}); "
            "make room there, or check the permissions"
        ) from None


def _refuse_unreadable(error: OSError) -> None:
    raise SourceError(f"folder {error.filename} cannot be read: {error.strerror}; check its permissions")


def _require_apart(path: Path, target: Path) -> None:
    there, here = path.resolve(), target.resolve()
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise SourceError(f"{path} and {target}, where it is written to, lie in one another; move {path} elsewhere")


def _require_digest(path: Path, expected: str | None, found: str) -> None:
    if expected is not None and expected.lower() != found:
        raise SourceError(
            f"{path} has sha256 {found}, but {expected} is expected; get the right file again, "
            "or correct sha256 if the change is meant"
        )
