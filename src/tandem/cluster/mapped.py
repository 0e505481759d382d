"""Arrays that lie in a file, such as a table of features: handed to another process by their place, not their bytes."""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import ClusterError


@dataclass(frozen=True)
class _Place:
    """Of an array in a file of so many bytes, as of np.ndarray."""

    path: Path
    num_bytes: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def mapped(self) -> np.ndarray:
        try:
            data = np.memmap(self.path, mode="r")
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"a process cannot read {self.path} ({error}); put the project on a disk that all nodes have under the "
                "same path, such as NFS"
            ) from None
        if len(data) != self.num_bytes:
            raise ClusterError(
                f"{self.path} has {len(data)} bytes for a process that is to read it, and {self.num_bytes} where the "
                "stage runs; put the project on one disk that all nodes have under the same path, such as NFS"
            )
        return np.ndarray(self.shape, self.dtype, data, self.offset, self.strides)


class MappedArray:
    """An array, which is pickled as its place in a file where it, or what it is a view of, is mapped from one to read.

    It is mapped again when it is first asked for. Then ClusterError is raised where there is no file of that size.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array: np.ndarray | _Place = array

    @property
    def array(self) -> np.ndarray:
        """As it was given."""
        if isinstance(self._array, _Place):
            self._array = self._array.mapped()
        return self._array

    def __getstate__(self) -> dict[str, Any]:
        return {"_array": self._array if isinstance(self._array, _Place) else _place_of(self._array) or self._array}


def _place_of(array: np.ndarray) -> _Place | None:
    """Where it lies in a file; None for an array in memory, and for one that may have been written to."""
    root: Any = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not (isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap) and root.mode == "r" and root.filename):
        return None
    path = Path(root.filename).absolute()
    offset = root.offset + array.ctypes.data - root.ctypes.data
    return _Place(path, path.stat().st_size, offset, array.shape, array.strides, array.dtype)
