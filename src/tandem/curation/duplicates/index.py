"""Indexes of rows by cosine (faiss): a flat one that compares all, and an approximate one for very many rows.

The approximate one puts rows into the list of the nearest of `_LISTS_A_ROOT` x sqrt(N) centers (inverted lists), and
compares a row with those of the lists nearest to it: about N ** 1.5 products instead of N ** 2. What lies in another
list is missed; how much that is, benchmarks/exact_search.py measures.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

BLOCK = 2048  # rows; the similarities of two blocks are 16 MB of float32
EXACT_TO = 100_000  # rows; so many are better searched exactly
HALF = 1e-3  # float16 changes the cosine of two rows by less
_LISTS_A_ROOT = 2
_LISTS_SEARCHED = 16  # at least
_COLUMNS_SEARCHED = 16_384  # of short rows, such as hashes, more lists are searched: measured, they lie more scattered
_FITTED_A_LIST = 40  # rows that each center is fitted to; faiss warns below 39
_ITERATIONS = 8  # of k-means
_TIES = 8  # rows that a flat index is asked for beyond the nearest k
_MAX_ASKED = 4096  # in all; a block of queries then takes 100 MB


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


class FlatIndex:
    """All rows (N, D), held as float32; rows of zeros have cosine 0 with all."""

    def __init__(self, rows: UnitRows) -> None:
        import faiss  # a tenth of a second, which a search by radius need not wait for

        self._index: Any = faiss.IndexFlatIP(rows.dim)
        self._threads = ThreadpoolController()  # of all libraries that are loaded now, faiss among them
        for block in rows.blocks():
            self._index.add(_finite(block))

    def nearest(self, queries: UnitRows, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The cosines and the row numbers (n, k) of what is nearest to each query, best first; k <= N.

        Of equal cosines the lowest row numbers are taken, unless thousands are equal. On one core: on several, the last
        bits of a cosine, and with them the order of nearly equal ones, would depend on their number.
        """
        with self._threads.limit(limits=1):
            return _joined([self._search(_finite(block), k, k + _TIES) for block in queries.blocks()])

    def _search(self, block: np.ndarray, k: int, num_asked: int) -> tuple[np.ndarray, np.ndarray]:
        """faiss takes any of equal cosines: where the last that it gives ties with the k-th, it is asked for more."""
        num_asked = min(num_asked, self._index.ntotal, _MAX_ASKED)
        cosines, numbers = self._index.search(block, num_asked)
        order = np.lexsort((numbers, -cosines))[:, :k]
        found = np.take_along_axis(cosines, order, axis=1), np.take_along_axis(numbers, order, axis=1)
        is_open = (found[0][:, -1] == cosines[:, -1]) & (cosines[:, -1] != 0)  # a row of zeros ties with all
        if is_open.any() and num_asked < min(self._index.ntotal, _MAX_ASKED):
            for part, more in zip(found, self._search(block[is_open], k, 8 * num_asked), strict=True):
                part[is_open] = more
        return found


class AnnIndex:
    """All rows (N, D), held as float16, in lists around centers that are fitted to a part of them from all over."""

    def __init__(self, rows: UnitRows) -> None:
        import faiss

        sample = rows[:: max(1, int(len(rows) ** 0.5 / (_FITTED_A_LIST * _LISTS_A_ROOT)))]
        num_lists = max(1, len(sample) // _FITTED_A_LIST)
        half, inner_product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        self._centers = faiss.IndexFlatIP(rows.dim)
        self._index: Any = faiss.IndexIVFScalarQuantizer(self._centers, rows.dim, num_lists, half, inner_product, False)
        self._index.cp.niter, self._index.cp.spherical = _ITERATIONS, True
        self._index.nprobe = max(_LISTS_SEARCHED, _COLUMNS_SEARCHED // rows.dim)
        self._index.train(_finite(sample))
        for block in rows.blocks():
            self._index.add(_finite(block))

    def within(self, queries: UnitRows, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each block of queries: the numbers in the block and in the index, each (P,), of pairs of cosine >= limit.

        The cosine is of rows rounded to float16, off by HALF at most.
        """
        for block in queries.blocks():
            limits, _, found = self._index.range_search(_finite(block), limit)
            yield np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64))), found

    def nearest(self, queries: UnitRows, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The same among the rows of the lists that are searched; -1 where there are fewer, and in no order of ties."""
        return _joined([self._index.search(_finite(block), k) for block in queries.blocks()])


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.nan_to_num(rows), dtype=np.float32)


def _joined(found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    cosines, numbers = (np.concatenate(part) for part in zip(*found, strict=True))
    return cosines, numbers
