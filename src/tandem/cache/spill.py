"""Arrays of which there may be more than there is memory for: those are on disk."""

import math
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from tandem.cache.store import cache_dir

_MAX_HELD_BYTES = 2**28


class SpilledArray:
    """(N, *shape) of dtype, filled row by row; of many bytes it is in a file without a name, which ends with it.

    row_bytes: of a row. The file is in the folder of the stores, or where the system keeps temporary ones.
    """

    def __init__(self, num_rows: int, shape: tuple[int, ...], dtype: str) -> None:
        self._shape, self._dtype = (num_rows, *shape), np.dtype(dtype)
        self.row_bytes = math.prod(shape) * self._dtype.itemsize
        self._file: IO[Any] | None = None
        if num_rows * self.row_bytes > _MAX_HELD_BYTES:
            self._file = tempfile.TemporaryFile(dir=_folder())  # noqa: SIM115  # closed by close
        self._held = np.zeros(self._shape if self._file is None else (0, *shape), self._dtype)

    def put(self, rows: Sequence[int], values: Sequence[np.ndarray]) -> None:
        """A value of each of these rows. Raises OSError where the disk is full."""
        for row, value in zip(rows, values, strict=True):
            if self._file is None:
                self._held[row] = value.reshape(self._shape[1:])
            else:  # written, not mapped: a full disk is then an OSError, and not a SIGBUS that nobody can catch
                self._file.seek(row * self.row_bytes)
                self._file.write(value.astype(self._dtype).tobytes())

    def filled(self) -> np.ndarray:
        """The array, of which every row was put; from a file it is read when it is looked at, and cannot be changed."""
        if self._file is None:
            return self._held
        self._file.flush()
        return np.memmap(self._file, self._dtype, "r", shape=self._shape)

    def close(self) -> None:
        """Put no more. The array that was filled stays."""
        if self._file is not None:
            with suppress(OSError):  # of what a full disk did not take
                self._file.close()


def _folder() -> Path | None:
    """None for that of the system."""
    with suppress(OSError):
        cache_dir().mkdir(parents=True, exist_ok=True)
        if os.access(cache_dir(), os.W_OK):
            return cache_dir()
    return None
