"""An approximate index of very many rows by cosine (faiss).

It puts rows into the list of the nearest of `_LISTS_A_ROOT` x sqrt(N) centers (inverted lists), and compares a row with
those of the lists nearest to it: about N ** 1.5 products instead of N ** 2. What lies in another list is missed; how
much that is, benchmarks/exact_search.py measures.
"""

from typing import Any

import numpy as np

from tandem.curation.duplicates.by_features.bounds import SLACK, leading_directions
from tandem.curation.duplicates.by_features.rows import UnitRows

EXACT_TO = 25_000  # rows; of more, the exact search costs an image more than all else that curation does
HALF = 1e-3  # float16 changes the cosine of two rows by less
_LISTS_A_ROOT = 2
_LISTS_SEARCHED = 16
_COLUMNS_HELD, _LONG = 256, 4  # of rows that have four times as many or more
_DIRECTIONS_FROM = 8192  # rows
_COMPARED = 128  # rows at a time, with all that are to be compared with them
_FITTED_A_LIST = 40  # rows that each center is fitted to; faiss warns below 39
_ITERATIONS = 8  # of k-means


class AnnIndex:
    """All rows (N, D), held as float16, in lists around centers that are fitted to a part of them from all over.

    Of long rows 257 columns are held alone, whose products bound their cosines from above (.bounds).
    """

    def __init__(self, rows: UnitRows) -> None:
        import faiss

        self._rows = rows
        is_long = rows.dim >= _LONG * _COLUMNS_HELD
        self._basis = leading_directions(rows, _COLUMNS_HELD, num_rows=_DIRECTIONS_FROM) if is_long else None
        sample = self._held(rows[:: max(1, int(len(rows) ** 0.5 / (_FITTED_A_LIST * _LISTS_A_ROOT)))])
        num_lists, dim = max(1, len(sample) // _FITTED_A_LIST), sample.shape[1]
        half, inner_product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        self._centers = faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIVFScalarQuantizer(self._centers, dim, num_lists, half, inner_product, False)
        self._index.cp.niter, self._index.cp.spherical = _ITERATIONS, True
        self._index.nprobe = _LISTS_SEARCHED
        self._index.train(sample)
        for block in rows.blocks():
            self._index.add(self._held(block))

    def nearest(self, queries: np.ndarray, num_asked: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cosines and row numbers (n, num_asked) of what seems nearest to rows (n, D) of length 1, in no order.

        -inf where there is none, or a row of zeros. Last (n,) a bound of the cosines of all others in the lists.
        """
        bounds, numbers = self._index.search(self._held(queries), min(num_asked, len(self._rows)))
        cosines = np.empty(numbers.shape, dtype=np.float32)
        for start in range(0, len(queries), _COMPARED):
            at = slice(start, start + _COMPARED)
            cosines[at] = np.einsum("qd,qnd->qn", queries[at], self._rows[numbers[at]])
        is_none = np.isnan(cosines) | (numbers < 0)
        last = np.where(numbers[:, -1] < 0, -np.inf, bounds[:, -1] + HALF + SLACK)
        return np.where(is_none, -np.inf, cosines), numbers, last

    def within(self, queries: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of queries (n, D) and of rows, each (P,), of pairs that are to be compared in full.

        All pairs of cosine >= limit in the lists that are searched are among them, and others.
        """
        limits, _, found = self._index.range_search(self._held(queries), limit - HALF - SLACK)
        return np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64))), found

    def _held(self, rows: np.ndarray) -> np.ndarray:
        if self._basis is None:
            return _finite(rows)
        inside = rows @ self._basis
        return _finite(np.column_stack([inside, np.linalg.norm(rows - inside @ self._basis.T, axis=1)]))


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.nan_to_num(rows), dtype=np.float32)
