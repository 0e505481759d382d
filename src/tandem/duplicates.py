"""Pairs of rows that are close to one another, exactly and in bounded memory, and the groups that they form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

_BLOCK = 2048  # rows a side of one block of similarities: 16 MB of float32
_ROUNDING = 1e-5  # float32 products differ from the true cosine by less; no pair that reaches the limit is lost to it


@dataclass(frozen=True)
class Pairs:
    """Row numbers first < second, sorted, unique; similarity: cosine in [-1, 1]. All of shape (P,)."""

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def near_pairs(x: np.ndarray, *, min_similarity: float, others: Sequence[np.ndarray] = ()) -> Pairs:
    """All pairs of rows of x (N, D) with cosine >= min_similarity (less 1e-5, for rounding), by blocks of a product.

    others: further views (N, D) of the same rows, such as mirrored ones; a pair counts by the best cosine of a
    row of x with any view of the other. Rows of zeros are near to nothing.
    """
    rows = _unit(x)
    found = [_of_views(rows, rows if view is None else _unit(view), min_similarity) for view in (None, *others)]
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return unique_pairs(first, second, similarity)


def nearest_pairs(x: np.ndarray, *, k: int, views: Sequence[np.ndarray] = ()) -> np.ndarray:
    """(P, 2) row numbers first < second, sorted, unique: each row of x (N, D) and the k rows nearest to it by cosine.

    views: further looks (N, D) at the same rows, such as mirrored ones; a row is as near as the best of them. Takes
    N x N x D operations a view, and the memory of N x k.
    """
    if len(x) < 2 or k < 1:
        return np.zeros((0, 2), dtype=np.int64)
    rows = _unit(x)
    search = NearestNeighbors(n_neighbors=min(k + 1, len(rows)), algorithm="brute").fit(rows)
    found = [search.kneighbors(rows), *(search.kneighbors(_unit(view)) for view in views)]
    distances, others = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    own = np.broadcast_to(np.arange(len(rows))[:, None], others.shape)
    order = np.argsort(np.where(others == own, np.inf, distances), axis=1, kind="stable")[:, :k]
    pairs = np.stack(
        [own[:, :k][:, : order.shape[1]].ravel(), np.take_along_axis(others, order, axis=1).ravel()], axis=1
    )
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)


def unique_pairs(first: np.ndarray, second: np.ndarray, similarity: np.ndarray) -> Pairs:
    """Pairs in canonical order; of several on the same rows, the highest similarity stays."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((-similarity, high, low))
    low, high, similarity = low[order], high[order], similarity[order]
    is_new = np.ones(len(low), dtype=bool)
    is_new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return Pairs(low[is_new], high[is_new], similarity[is_new])


def components(num_rows: int, *, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(num_rows,) int: the smallest row number of each row's connected component."""
    graph = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(num_rows, num_rows))
    labels = connected_components(graph, directed=False)[1]
    smallest = np.full(labels.max(initial=-1) + 1, num_rows)
    np.minimum.at(smallest, labels, np.arange(num_rows))
    return smallest[labels]


def _of_views(rows: np.ndarray, view: np.ndarray, min_similarity: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nothing = np.zeros(0, dtype=np.int64)
    firsts, seconds, similarities = [nothing], [nothing], [nothing.astype(np.float32)]
    is_same = view is rows
    for top in range(0, len(rows), _BLOCK):
        for left in range(top if is_same else 0, len(rows), _BLOCK):
            block = rows[top : top + _BLOCK] @ view[left : left + _BLOCK].T
            i, j = np.nonzero(block >= min_similarity - _ROUNDING)
            keep = (i + top < j + left) if is_same else (i + top != j + left)
            i, j = i[keep], j[keep]
            firsts.append(i + top)
            seconds.append(j + left)
            similarities.append(block[i, j].clip(-1, 1))
    return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(similarities)


def _unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float32)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms > 0, norms, 1)
