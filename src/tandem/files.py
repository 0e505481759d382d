"""Files and folders that are written whole or not at all; digests of them; JSON and CSV."""

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

csv.field_size_limit(2**31 - 1)  # one blank image can have thousands of origins in a cell; csv stops at 128 KiB


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it is flushed and renamed to `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: Path, *, within: Path | None = None) -> Iterator[Path]:
    """Yield an empty temporary folder; it becomes `path` when the block ends well.

    An older `path` is replaced only then: nothing is lost when the block fails. within: the folder, on the same disk,
    that the temporary one is made in, so that a kill leaves nothing beside `path`; None is the parent of `path`.
    """
    parent = within or path.parent
    for folder in (path.parent, parent):
        folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=parent))
    temporary.chmod(0o755)
    older = temporary.with_suffix(".older")  # renamed, not removed: a folder of many files takes a while to go
    try:
        yield temporary
        if path.exists():
            path.rename(older)
        temporary.rename(path)
    finally:
        if older.exists() and not path.exists():
            older.rename(path)
        for folder in (temporary, older):
            shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all; line ends stay as they are."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with floats rounded to 6 digits, keys in the order of `value`."""
    write_text(path, json.dumps(_round_floats(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] | None = None) -> None:
    """Write a table with a header line, floats rounded to 6 digits. columns: None takes the keys of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_round_floats(row) for row in rows)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header line, all values as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dir_sha256(folder: Path, *, without: Collection[str] = ()) -> str:
    """Hex digest of the names and bytes of all files below a folder, in order of name. without: file names to skip."""
    digest = hashlib.sha256()
    for path in (path for path in list_files(folder) if path.name not in without):
        digest.update(f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def is_lfs_pointer(data: bytes) -> bool:
    """Whether a file that begins so is what Git LFS leaves in place of a file that was not pulled."""
    return data.startswith(b"version https://git-lfs.github.com/spec/")


def list_files(folder: Path) -> list[Path]:
    """All files below a folder, sorted by POSIX path. Links to files count: DVC may link files to its cache."""
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder).as_posix()
    )


def remove_others(folder: Path, names: Collection[str]) -> None:
    """Remove all files and folders of `folder` but those of these names (without extension); hidden ones stay."""
    for path in sorted(folder.glob("[!.]*")):
        if path.name.split(".")[0] in names:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _round_floats(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _round_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_round_floats(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
