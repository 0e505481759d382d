"""An approximate index of rows by cosine, for more rows than are compared with all others in a bearable time.

Rows are put into the list of the nearest of `_LISTS_A_ROOT` x sqrt(N) centers (faiss, inverted lists), and a row is
compared with those of the lists nearest to it: about N ** 1.5 products instead of N ** 2. What lies in another list is
missed; how much that is, benchmarks/exact_search.py measures.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

BLOCK = 2048  # rows; the similarities of two blocks are 16 MB of float32
EXACT_TO = 100_000  # rows; so many are better searched exactly
HALF = 1e-3  # float16 changes the cosine of two rows by less
_LISTS_A_ROOT = 2
_LISTS_SEARCHED = 16  # at least
_COLUMNS_SEARCHED = 16_384  # of short rows, such as hashes, more lists are searched: measured, they lie more scattered
_FITTED_A_LIST = 40  # rows that each center is fitted to; faiss warns below 39
_ITERATIONS = 8  # of k-means


class UnitRows:
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


class AnnIndex:
    """Rows (N, D) of length 1, held as float16; rows that are not finite are near to nothing.

    blocks: the rows in order, in blocks (n, D). sample: rows (S, D) of all of them, which centers are fitted to.
    """

    def __init__(self, blocks: Iterable[np.ndarray], *, sample: np.ndarray) -> None:
        import faiss  # heavy, with threads of its own, and needed for large sets alone

        num_lists = max(1, len(sample) // _FITTED_A_LIST)
        dim, inner_product = sample.shape[1], faiss.METRIC_INNER_PRODUCT
        half = faiss.ScalarQuantizer.QT_fp16
        self._centers = faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIVFScalarQuantizer(self._centers, dim, num_lists, half, inner_product, False)
        self._index.cp.niter, self._index.cp.spherical = _ITERATIONS, True
        self._index.nprobe = max(_LISTS_SEARCHED, _COLUMNS_SEARCHED // dim)
        self._index.train(_finite(sample))
        for block in blocks:
            self._index.add(_finite(block))

    def within(self, blocks: Iterable[np.ndarray], limit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each block (n, D): the numbers in the block and in the index, each (P,), of pairs of cosine >= limit.

        The cosine is of rows rounded to float16, off by HALF at most.
        """
        for block in blocks:
            limits, _, found = self._index.range_search(_finite(block), limit)
            yield np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64))), found

    def nearest(self, blocks: Iterable[np.ndarray], k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each block (n, D): the cosines and the numbers (n, k) of the nearest, best first; -1: there are fewer."""
        for block in blocks:
            yield self._index.search(_finite(block), k)


def build_index(rows: UnitRows) -> AnnIndex:
    """An index of all rows, its centers fitted to a part of them from all over."""
    step = max(1, int(len(rows) ** 0.5 / (_FITTED_A_LIST * _LISTS_A_ROOT)))
    return AnnIndex(rows.blocks(), sample=rows[::step])


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.nan_to_num(rows), dtype=np.float32)
