"""Rows of length 1, made a block at a time, so that an array or a memory map of any length is never copied."""

from collections.abc import Iterator

import numpy as np

BLOCK = 2048  # rows; the similarities of two blocks are 16 MB of float32


class Rows:
    """Rows of x (N, D), scaled to length 1 as they are asked for; rows of zeros become NaN, which reaches no limit."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = np.asarray(x)
        self.norms = np.full((len(self.x), 1), np.nan, dtype=np.float32)
        for block in blocks_of(len(self.x)):
            norms = np.linalg.norm(np.asarray(self.x[block], dtype=np.float32), axis=1, keepdims=True)
            np.copyto(self.norms[block], norms, where=norms > 0)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.x[which], dtype=np.float32) / self.norms[which]

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows in order."""
        return (self[block] for block in blocks_of(len(self)))


def blocks_of(num_rows: int) -> list[slice]:
    """The row numbers of each block, in order."""
    return [slice(start, start + BLOCK) for start in range(0, num_rows, BLOCK)]
