"""What all tables check alike: values that are finite, ids that are unique, files that can be read.

A table that is wrong names the stage that writes it, since to run that again is what helps.
"""

import csv
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tandem.errors import DataError

THE_WRITER = "the stage that wrote it"
_BLOCK = 2**22  # values checked at a time
_MAX_QUOTED = 100  # characters of another library's message
_DAMAGE = (
    ValueError,  # also of JSON, text that is not UTF-8, headers of arrays
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    csv.Error,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(path: Path, *, stage: str = THE_WRITER) -> Iterator[None]:
    """Inside the block a file of the pipeline's own is read; DataError where it is missing or damaged."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} is missing; run {stage} again") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; remove it, and run {stage} again") from None
    except _DAMAGE as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_QUOTED]
        raise DataError(f"{path} is damaged ({what}); remove it, and run {stage} again") from error


def read_table(path: Path, *, columns: Sequence[str], stage: str) -> list[dict[str, str]]:
    """The lines of a CSV that a stage wrote with these columns. DataError where header or a line is another."""
    with reading(path, stage=stage):
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
        if header != list(columns):
            raise ValueError(f"its header is {','.join(header)!r}, not {','.join(columns)}")
        return [dict(zip(columns, row, strict=True)) for row in rows]


def require_finite(values: np.ndarray, ids: Sequence[str], *, what: str, stage: str = THE_WRITER) -> None:
    """Raise DataError for the first row of values (N, ...) that is not finite, by its id; block by block."""
    rows = max(1, _BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        is_finite = np.isfinite(values[start : start + rows]).reshape(len(values[start : start + rows]), -1).all(axis=1)
        if not is_finite.all():
            id_ = ids[start + int(is_finite.argmin())]
            raise DataError(f"{what} of image {id_} hold a value that is not finite; run {stage} again")


def require_unique(names: Sequence[str], *, what: str, stage: str = THE_WRITER) -> None:
    """Raise DataError for a name that stands there twice, or is empty."""
    seen = set[str]()
    for name in names:
        if not isinstance(name, str) or not name or name in seen:
            raise DataError(f"{what} must be unique and not empty; {name!r} is not; run {stage} again")
        seen.add(name)
