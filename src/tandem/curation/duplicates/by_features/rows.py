"""Rows of vectors, such as features, scaled to length 1 block by block."""

from collections.abc import Iterator

import numpy as np

BLOCK = 2048  # rows; the similarities of two blocks are 16 MB of float32


class UnitRows:
    """Rows of vectors (N, D), scaled to length 1 when they are read; rows of zeros become NaN, which reaches no limit.

    vectors: not copied; it may be a memory map.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = np.asarray(vectors)
        self.norms = np.full((len(self.vectors), 1), np.nan, dtype=np.float32)
        for block in blocks_of(len(self.vectors)):
            norms = np.linalg.norm(np.asarray(self.vectors[block], dtype=np.float32), axis=1, keepdims=True)
            np.copyto(self.norms[block], norms, where=norms > 0)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.vectors[rows], dtype=np.float32) / self.norms[rows]

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
