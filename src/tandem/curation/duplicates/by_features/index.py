"""An approximate index of very many rows by cosine (faiss).

It puts rows into the list of the nearest of `_LISTS_A_ROOT` x sqrt(N) centers (inverted lists), and compares a row with
those of the lists nearest to it: about N ** 1.5 products instead of N ** 2. What lies in another list is missed; how
much that is, benchmarks/exact_search.py measures. Of the same rows and centers an index finds the same bytes, whatever
the number of cores.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tandem.curation.duplicates.by_features.bounds import SLACK, leading_directions
from tandem.curation.duplicates.by_features.cores import by_all_cores, on_one_core
from tandem.curation.duplicates.by_features.rows import UnitRows

EXACT_TO = 25_000  # rows; of more, the exact search costs an image more than all else that curation does
HALF = 1e-3  # float16 changes the cosine of two rows by less
_LISTS_A_ROOT = 2
_LISTS_SEARCHED = 16
_COLUMNS_HELD, _LONG = 255, 4  # of rows that have four times as many or more
_WIDTH = 16  # columns: faiss takes products of a multiple of them several times as fast, with the processor's vectors
_DIRECTIONS_FROM = 8192  # rows
_COMPARED = 32  # rows at a time, with all that are to be compared with them
_FITTED_A_LIST = 40  # rows that each center is fitted to; faiss warns below 39
_ITERATIONS = 8  # of k-means


@dataclass(frozen=True, eq=False)
class Centers:
    """vectors: (L, d) of the lists. basis: (D, 255) directions, in which rows of d = 256 columns are held; or None."""

    vectors: np.ndarray
    basis: np.ndarray | None

    def held(self, rows: np.ndarray) -> np.ndarray:
        """(n, d) of rows (n, D): of long ones the columns alone whose products bound their cosines (.bounds)."""
        return _held(rows, self.basis)


class Queries(NamedTuple):
    """rows: n of length 1 (n, D). held: (n, d). similarities, lists: (n, p) of the lists that are nearest to each."""

    rows: np.ndarray
    held: np.ndarray
    similarities: np.ndarray
    lists: np.ndarray

    def where(self, chosen: np.ndarray) -> "Queries":
        """Those of these numbers."""
        return Queries(*(part[chosen] for part in self))


def fit_centers(rows: UnitRows) -> Centers:
    """By k-means of a part of the rows from all over."""
    with on_one_core():
        is_long = rows.dim >= _LONG * _COLUMNS_HELD
        basis = leading_directions(rows, _COLUMNS_HELD, num_rows=_DIRECTIONS_FROM) if is_long else None
        sample = _held(rows[:: max(1, int(len(rows) ** 0.5 / (_FITTED_A_LIST * _LISTS_A_ROOT)))], basis)
        num_lists = max(1, len(sample) // _FITTED_A_LIST)
        flat, index = _empty_index(num_lists, sample.shape[1])
        index.cp.niter, index.cp.spherical = _ITERATIONS, True
        index.train(sample)
        return Centers(flat.reconstruct_n(0, num_lists), basis)


class AnnIndex:
    """All rows (N, D), held as float16, in the lists of the centers."""

    def __init__(self, rows: UnitRows, centers: Centers) -> None:
        import faiss

        self._rows, self._centers = rows, centers
        self._flat, self._index = _empty_index(*centers.vectors.shape)
        self._index.nprobe = min(_LISTS_SEARCHED, len(centers.vectors))
        self._flat.add(centers.vectors)
        self._index.train(centers.vectors)  # which are fitted already
        for held, lists in by_all_cores(self._placed, rows.blocks()):
            self._index.add_core(len(held), faiss.swig_ptr(held), None, faiss.swig_ptr(lists))

    def queries(self, rows: np.ndarray) -> Queries:
        """Rows (n, D) of length 1 that are searched for."""
        held = self._centers.held(rows)
        return Queries(rows, held, *self._flat.search(held, self._index.nprobe))

    def nearest(self, queries: Queries, num_asked: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cosines and row numbers (n, num_asked) of what seems nearest to the queries, in no order.

        -inf where there is none, or a row of zeros. Last (n,) a bound of the cosines of all others in the lists.
        """
        num_asked = min(num_asked, len(self._rows))
        bounds, numbers = self._index.search_preassigned(queries.held, num_asked, queries.lists, queries.similarities)
        cosines = np.empty(numbers.shape, dtype=np.float32)
        for start in range(0, len(numbers), _COMPARED):
            at = slice(start, start + _COMPARED)
            cosines[at] = np.einsum("qd,qnd->qn", queries.rows[at], self._rows[numbers[at]])
        is_none = np.isnan(cosines) | (numbers < 0)
        last = np.where(numbers[:, -1] < 0, -np.inf, bounds[:, -1] + HALF + SLACK)
        return np.where(is_none, -np.inf, cosines), numbers, last

    def within(self, queries: Queries, limit: float) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of queries and of rows, each (P,), of pairs that are to be compared in full.

        All pairs of cosine >= limit in the lists that are searched are among them, and others.
        """
        limits, _, found = self._index.range_search_preassigned(
            queries.held, limit - HALF - SLACK, queries.lists, queries.similarities
        )
        return np.repeat(np.arange(len(queries.held)), np.diff(limits.astype(np.int64))), found

    def _placed(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows as they are held, and the list of each."""
        held = self._centers.held(rows)
        return held, np.ascontiguousarray(self._flat.search(held, 1)[1].ravel())


def _empty_index(num_lists: int, dim: int) -> tuple[Any, Any]:
    """Of the centers, and of rows in their lists."""
    import faiss

    half, inner_product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    flat = faiss.IndexFlatIP(dim)
    return flat, faiss.IndexIVFScalarQuantizer(flat, dim, num_lists, half, inner_product, False)


def _held(rows: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    if basis is None:
        return _finite(rows)
    inside = rows @ basis
    return _finite(np.column_stack([inside, np.linalg.norm(rows - inside @ basis.T, axis=1)]))


def _finite(rows: np.ndarray) -> np.ndarray:
    """With columns of zeros up to a multiple of _WIDTH."""
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % _WIDTH)))
    return np.ascontiguousarray(np.nan_to_num(padded), dtype=np.float32)
