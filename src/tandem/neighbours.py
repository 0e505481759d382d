"""The nearest rows of every row, exactly or, of very many, by an approximate index."""

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import NearestNeighbors

from tandem.approximate import EXACT_TO, index_of
from tandem.rows import Rows


def nearest_pairs(x: np.ndarray, *, k: int, views: Sequence[np.ndarray] = (), exact_to: int = EXACT_TO) -> np.ndarray:
    """(P, 2) row numbers first < second, sorted, unique: each row of x (N, D) and the k rows nearest to it by cosine.

    views: further looks (N, D) at the same rows, such as mirrored ones; a row is as near as the best of them. Takes
    N x N x D operations a view, and the memory of N x k. exact_to: most rows that are searched exactly.
    """
    if len(x) < 2 or k < 1:
        return np.zeros((0, 2), dtype=np.int64)
    looks = [Rows(view) for view in (x, *views)]
    find = _nearest if len(x) <= exact_to else _nearest_by_index
    distances, others = (np.concatenate(part, axis=1) for part in zip(*find(looks, min(k + 1, len(x))), strict=True))
    own = np.broadcast_to(np.arange(len(x))[:, None], others.shape)
    is_none = (others == own) | (others < 0)
    order = np.argsort(np.where(is_none, np.inf, distances), axis=1, kind="stable")[:, :k]
    pairs = np.stack([np.take_along_axis(part, order, axis=1) for part in (own, others)], axis=-1)
    return np.unique(np.sort(pairs[~np.take_along_axis(is_none, order, axis=1)], axis=1), axis=0)


def _nearest(looks: Sequence[Rows], k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each look: distances and row numbers (N, k) of the rows of the first look that are nearest."""
    rows = np.nan_to_num(looks[0][:])
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows)
    return [search.kneighbors(rows if look is looks[0] else np.nan_to_num(look[:])) for look in looks]


def _nearest_by_index(looks: Sequence[Rows], k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same by the approximate index; row number -1 where it knows of fewer."""
    index, found = index_of(looks[0]), []
    for look in looks:
        cosines, others = (np.concatenate(part) for part in zip(*index.nearest(look.blocks(), k), strict=True))
        found.append((1 - cosines, others))
    return found
