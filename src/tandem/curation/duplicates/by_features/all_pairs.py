"""Similar pairs of rows and each row's nearest, of all pairs, by one product of half of them.

A block of products serves the rows on either side of it, and both questions: what reaches the limit, and what is among
the nearest k. So an exact search for both takes as many operations as one for similar pairs alone.
"""

from itertools import combinations_with_replacement

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.curation.duplicates.by_features.rows import UnitRows, blocks_of
from tandem.curation.duplicates.pairs import places

_LAST_BITS = 1e-6  # of a product, which depend on how many cores share it out
_NO_COSINE = -2  # lower than any
CHUNK = 512  # pairs picked out at a time: their rows stay in the cache

Triples = tuple[np.ndarray, np.ndarray, np.ndarray]  # first and second row numbers and cosines of pairs


def block_pairs(one: np.ndarray, other: np.ndarray, products: np.ndarray, limit: float) -> Triples:
    """Those of all pairs of two blocks whose cosine reaches the limit; those at the limit are compared one by one.

    one, other: (n, D) and (m, D) rows of length 1. products: (n, m) of them.
    """
    i, j = nonzero(products >= limit - _LAST_BITS)
    similarity = products[i, j]
    at_limit = np.flatnonzero(similarity < limit + _LAST_BITS)
    similarity[at_limit] = np.vecdot(one[i[at_limit]], other[j[at_limit]])
    is_reached = similarity >= limit
    return i[is_reached], j[is_reached], similarity[is_reached]


def pairs_at(rows: UnitRows, i: np.ndarray, j: np.ndarray, limit: float) -> Triples:
    """Those of the pairs of rows i and j, each (P,), whose cosine reaches the limit."""
    chunks = [slice(start, start + CHUNK) for start in range(0, len(i), CHUNK)]
    similarity = np.concatenate([np.zeros(0, np.float32), *(np.vecdot(rows[i[at]], rows[j[at]]) for at in chunks)])
    is_reached = similarity >= limit
    return i[is_reached], j[is_reached], similarity[is_reached]


def nonzero(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers of what is true, by way of a flat mask: np.nonzero takes 50 times as long for a matrix."""
    i, j = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return i, j


def similar_and_nearest_of_all(rows: UnitRows, limit: float, k: int) -> tuple[list[Triples], np.ndarray]:
    """Pairs of cosine >= limit, first < second, and (P, 2) each row and the k >= 1 nearest to it, smaller row first.

    Of equal cosines the lowest row numbers are taken. Rows of zeros are in no pair. On one core: on several, the last
    bits of a cosine, and with them the order of nearly equal ones, would depend on their number.
    """
    nearest, similar = NearestSoFar(len(rows), k), list[Triples]()
    with threadpool_limits(limits=1):
        for top, left in combinations_with_replacement(blocks_of(len(rows)), 2):
            one = rows[top]
            # of one array with itself NumPy takes half the product
            other = one if top == left else rows[left]
            products = one @ other.T
            i, j, similarity = block_pairs(one, other, products, limit)
            i, j = i + top.start, j + left.start
            similar.append((i[i < j], j[i < j], similarity[i < j]))
            np.copyto(products, _NO_COSINE, where=np.isnan(products))
            if top == left:
                np.fill_diagonal(products, _NO_COSINE)
            else:
                nearest.add(left.start, products.T, top.start)
            nearest.add(top.start, products, left.start)
    return similar, nearest.pairs()


class NearestSoFar:
    """The k nearest of each of N rows among those that were compared with it; these must come in ascending order."""

    def __init__(self, num_rows: int, k: int) -> None:
        self._cosines = np.full((num_rows, k), _NO_COSINE, dtype=np.float32)  # best first
        self._others = np.full((num_rows, k), -1)

    def add(self, start: int, cosines: np.ndarray, first_other: int) -> None:
        """Compare the rows from `start` on with those from `first_other` on; cosines: (n, m), at most as many n."""
        at = slice(start, start + len(cosines))
        i, j = _above(cosines, self._cosines[at, -1], self._cosines.shape[1])
        if not len(i):
            return
        changed, position = np.unique(i, return_inverse=True)
        kept, others = self._cosines[start + changed], self._others[start + changed]
        row = np.concatenate([np.repeat(np.arange(len(changed)), kept.shape[1]), position])
        cosine = np.concatenate([kept.ravel(), cosines[i, j]])
        other = np.concatenate([others.ravel(), j + first_other])
        order = np.lexsort((other, -cosine, row))
        best = order[places(row[order]) < kept.shape[1]]
        self._cosines[start + changed] = cosine[best].reshape(kept.shape)
        self._others[start + changed] = other[best].reshape(kept.shape)

    def pairs(self) -> np.ndarray:
        """(P, 2) row numbers, smaller first, sorted, unique."""
        rows, at = nonzero(self._cosines > _NO_COSINE)
        return np.unique(np.sort(np.stack([rows, self._others[rows, at]], axis=1), axis=1), axis=0)


def _above(cosines: np.ndarray, worst: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers of the cosines (n, m) that may be among the k best of their row. worst: (n,) of those yet.

    As later ones are of higher rows, one that equals the worst yet is not; in the first block the k-th best is found.
    """
    if (worst > _NO_COSINE).all() or cosines.shape[1] <= k:
        return nonzero(cosines > worst[:, None])
    kth = np.partition(cosines, -k, axis=1)[:, -k]
    return nonzero((cosines >= kth[:, None]) & (cosines > worst[:, None]))
