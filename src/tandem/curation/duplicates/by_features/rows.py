"""Rows of vectors, such as features, scaled to length 1 block by block."""

from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from tandem.cluster.mapped import MappedArray

BLOCK = 2048  # rows; the similarities of two blocks are 16 MB of float32


class UnitRows:
    """Rows of vectors (N, D), scaled to length 1 when they are read; rows of zeros become NaN, which reaches no limit.

    vectors: not copied; it may be a memory map, of which a pickle has the place alone (tandem.cluster.mapped).
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self._mapped = MappedArray(np.asarray(vectors))

    def __getstate__(self) -> dict[str, Any]:
        return {"_mapped": self._mapped}

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.vectors[rows], dtype=np.float32) / self.norms[rows]

    @cached_property
    def vectors(self) -> np.ndarray:
        """(N, D), as they were given. Raises ClusterError where this process cannot map them."""
        return self._mapped.array

    @cached_property
    def norms(self) -> np.ndarray:
        """(N, 1) lengths; NaN of rows of zeros."""
        norms = np.full((len(self), 1), np.nan, dtype=np.float32)
        for block in blocks_of(len(self)):
            found = np.linalg.norm(np.asarray(self.vectors[block], dtype=np.float32), axis=1, keepdims=True)
            np.copyto(norms[block], found, where=found > 0)
        return norms

    @property
    def digest(self) -> str:
        """sha256 of their lengths, in which other vectors differ."""
        return sha256(self.norms.tobytes()).hexdigest()

    @property
    def dim(self) -> int:
        """D, the number of columns."""
        return self.vectors.shape[1]

    @property
    def is_zero(self) -> np.ndarray:
        """(N,) whether a row has no direction."""
        return np.isnan(self.norms[:, 0])

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows in order."""
        return (self[block] for block in blocks_of(len(self)))


def blocks_of(num_rows: int) -> list[slice]:
    """The row numbers of each block, in order."""
    return [slice(start, start + BLOCK) for start in range(0, num_rows, BLOCK)]
