"""Files and folders that are written whole or not at all; digests of them; JSON and CSV."""

import csv
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import tempfile
import tokenize
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from tandem.errors import DamagedFileError, DataError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

csv.field_size_limit(2**31 - 1)  # one blank image can have thousands of origins in a cell; csv stops at 128 KiB
# all that damaged bytes make readers raise
_DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError, RuntimeError, MemoryError,
    SyntaxError, NotADirectoryError, IsADirectoryError, BadZipFile, csv.Error, pickle.UnpicklingError, zlib.error,
    struct.error, tokenize.TokenError,
)  # fmt: skip
_NPY, _NPZ = b"\x93NUMPY", b"PK"
_MAX_SHOWN = 200  # letters of an error
_MAX_NAMES = 2000  # of a folder, among which the closest is looked for
_MAX_DEPTH, _MAX_VALUES = 100, 100_000  # of a YAML document


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


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What a file that a stage wrote raises in the block is raised as a DamagedFileError, which names it.

    Be it of damaged bytes, or a DataError of what was made of them.
    """
    try:
        yield
    except FileNotFoundError:
        raise DamagedFileError(path, "is missing") from None
    except DamagedFileError:
        raise
    except DataError as error:
        raise DamagedFileError(path, f"cannot be used ({error})") from error
    except _DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read ({first_line(error)})") from None


def first_line(error: Exception) -> str:
    """Of its message, or its name where it has none; a KeyError's key is said to be missing."""
    if isinstance(error, KeyError):
        return f"{str(error)[:_MAX_SHOWN]} is missing in it"
    return str(error).partition("\n")[0][:_MAX_SHOWN] or type(error).__name__


def read_json(path: Path, *, keys: Sequence[str] = ()) -> Any:
    """The value of a JSON file, a mapping that has these keys where any are named. Raises DamagedFileError."""
    with reading(path):
        value = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            value[key]
        return value


def load_arrays(path: Path, names: Sequence[str]) -> "tuple[np.ndarray, ...]":
    """The arrays of an .npz file by their names. Raises DamagedFileError."""
    import numpy as np

    with reading(path), path.open("rb") as file:
        if file.read(len(_NPZ)) != _NPZ:
            raise ValueError("it is no .npz file")
        file.seek(0)
        with np.load(file) as arrays:
            return tuple(arrays[name] for name in names)


def write_array(path: Path, array: "np.ndarray") -> None:
    """Write an .npy file. Of a full disk numpy's own writing of files raises an OSError without its number."""
    import numpy as np

    data = io.BytesIO()
    np.save(data, array)
    path.write_bytes(data.getbuffer())


def load_array(path: Path, *, ndim: int, is_mapped: bool = False) -> "np.ndarray":
    """The array of an .npy file. is_mapped: it stays on disk until used. Raises DamagedFileError."""
    import numpy as np

    with reading(path):
        with path.open("rb") as file:
            if file.read(len(_NPY)) != _NPY:
                raise ValueError("it is no .npy file")
        array = np.load(path, mmap_mode="r" if is_mapped else None)
        if array.ndim != ndim:
            raise ValueError(f"an array of {ndim} dimensions is expected, not of {array.ndim}")
        return array


def parse_yaml(text: str) -> Any:
    """Plain values of one YAML 1.2 document, in time and memory that grow with the text alone.

    Raises ValueError with one line that says where: for what is no YAML, for a document that is nested too deeply, and
    for one whose aliases stand for more values than any file of this project has.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    opened = accumulate((char in "[{") - (char in "]}") for char in text)
    if max(opened, default=0) > _MAX_DEPTH:  # of brackets the parser's time grows with the square
        raise ValueError("it is nested too deeply")
    try:
        if "&" in text:  # without an anchor nothing stands for more than itself
            _require_few_values(YAML(typ="safe", pure=True).parse(text))
        return YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except MarkedYAMLError as error:
        first, last = error.context_mark or error.problem_mark, error.problem_mark or error.context_mark
        where = "" if last is None else f"line {last.line + 1}, column {last.column + 1}: "
        begun = "" if first is last else f" (it begins on line {first.line + 1}, column {first.column + 1})"
        tab = "; indent by spaces" if "\\t" in str(error.problem) else ""
        raise ValueError(f"{where}{str(error.problem or error.context).strip()}{begun}{tab}") from None
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _require_few_values(events: Iterable[Any]) -> None:
    """Raise ValueError where aliases multiply the values of a document, are within what they name, or nest deeply."""
    sizes, anchors, named = [0], dict[str, int](), list[str | None]()  # of what is open, of what is closed, open names
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            sizes.append(1)
            named.append(event.anchor)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            size, anchor = sizes.pop(), named.pop()
            sizes[-1] += size
            anchors |= {anchor: size} if anchor else {}
        elif kind == "ScalarEvent":
            sizes[-1] += 1
            anchors |= {event.anchor: 1} if event.anchor else {}
        elif kind == "AliasEvent":
            if event.anchor in named:
                raise ValueError(f"line {event.start_mark.line + 1}: *{event.anchor} lies within what it stands for")
            sizes[-1] += anchors.get(event.anchor, 1)
        if len(sizes) > _MAX_DEPTH or sizes[-1] > _MAX_VALUES:
            raise ValueError(f"line {event.start_mark.line + 1}: its aliases stand for too many values")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] | None = None) -> None:
    """Write a table with a header line, floats rounded to 6 digits. columns: None takes the keys of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_round_floats(row) for row in rows)
    write_text(path, text.getvalue())


def read_csv(path: Path, *, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a table with a header line, all values as text; of these columns, where any are named.

    Raises DamagedFileError for other columns and, where they are named, for lines that have fewer or more cells.
    """
    with reading(path), path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
        if columns and list(reader.fieldnames or ()) != list(columns):
            raise ValueError(f"its columns are {','.join(reader.fieldnames or ()) or 'none'}, not {','.join(columns)}")
        for number, row in enumerate(rows if columns else (), start=1):
            if None in row or None in row.values():
                raise ValueError(f"row {number} has another number of cells than the header")
        return rows


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dir_sha256(folder: Path, *, without: Collection[str] = ()) -> str:
    """Hex digest of the names and bytes of all files below a folder, in order of name. without: file names to skip."""
    digest = hashlib.sha256()
    for path in (path for path in list_files(folder) if path.name not in without):
        digest.update(digest_line(sha256(path), path.relative_to(folder).as_posix()))
    return digest.hexdigest()


def digest_line(digest: str, name: str) -> bytes:
    """What sha256sum prints of a file; a name that is no UTF-8 stays as the disk has it."""
    return f"{digest}  {name}\n".encode(errors="surrogateescape")


def is_lfs_pointer(data: bytes) -> bool:
    """Whether a file that begins so is what Git LFS leaves in place of a file that was not pulled."""
    return data.startswith(b"version https://git-lfs.github.com/spec/")


def list_files(folder: Path) -> list[Path]:
    """All files below a folder, sorted by POSIX path. Links to files count: DVC may link files to its cache."""
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder).as_posix()
    )


def closest_name(path: Path) -> str:
    """ "did you mean 'cars.zip'? " for the first part of a path that is missing; "" where nothing there is close."""
    for part in (*reversed(path.parents), path):
        if not os.path.lexists(part):
            is_readable = part.parent.is_dir() and os.access(part.parent, os.R_OK | os.X_OK)
            names = (each.name for each in part.parent.iterdir()) if is_readable else ()
            return did_you_mean(part.name, sorted(islice(names, _MAX_NAMES)))
    return ""


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
