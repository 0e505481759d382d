"""Pairs of rows that are close to one another, in bounded memory, and the groups that they form.

Up to EXACT_TO rows none is lost; beyond, an approximate index finds candidates, of which a few are missed and none is
wrong: each is compared in full.

All pairs of many long rows are compared by a bound first. With p the coordinates of a row x of length 1 in a few
orthonormal directions and r the length of what lies outside them, Cauchy and Schwarz give

    cosine(x, y) <= p(x) . p(y) + r(x) r(y) = [p(x), r(x)] . [p(y), r(y)],

a product of few columns instead of D. Only pairs whose bound reaches the limit are compared in full, so none is lost,
however badly the directions are chosen; well chosen, they hold most of every row, and few pairs are left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from tandem.curation.duplicates.index import EXACT_TO, HALF, AnnIndex, UnitRows, blocks_of, build_index

_ROUNDING = 1e-5  # float32 products differ from the true cosine by less; no pair that reaches the limit is lost to it
_SLACK = 1e-4  # what rounding may take from a bound, many times over
_BOUND_FROM = 16_384  # rows; fewer are compared in seconds, of which choosing directions would take a good part
_SAMPLE = 1024  # rows that directions are fitted to, and rows a side of the pairs that they are tried on
_NUM_DIRECTIONS = (32, 64, 128, 256)  # tried where they are at most a quarter of D
_CHECK_COST = 40  # measured: one pair picked out and compared takes as long as 40 pairs in a block of a product
_CHUNK = 512  # pairs picked out at a time: their rows stay in the cache

_Found = tuple[np.ndarray, np.ndarray, np.ndarray]  # first and second row numbers and cosines of pairs


@dataclass(frozen=True)
class Pairs:
    """Row numbers first < second, sorted, unique; similarity: cosine in [-1, 1]. All of shape (P,)."""

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def rows(self) -> np.ndarray:
        """(P, 2) int64: first and second side by side."""
        return np.stack([self.first, self.second], axis=1).astype(np.int64)


def radius_pairs(
    x: np.ndarray,
    *,
    min_similarity: float,
    others: Sequence[np.ndarray] = (),
    num_directions: int | None = None,
    exact_to: int = EXACT_TO,
) -> Pairs:
    """All pairs of rows of x (N, D) with cosine >= min_similarity (less 1e-5, for rounding).

    others: further views (N, D) of the same rows, such as mirrored ones; a pair counts by the best cosine of a
    row of x with any view of the other. Rows of zeros are near to nothing. x is not copied; it may be a memory map.
    num_directions: of the bound (0: none), which changes the time and never the pairs; None: what looks cheapest.
    exact_to: most rows that are searched exactly; of more, a few pairs may be missed.
    """
    rows, limit = UnitRows(x), min_similarity - _ROUNDING
    views = [rows, *(UnitRows(view) for view in others)]
    if len(rows) > exact_to:
        index = build_index(rows)
        found = [part for view in views for part in _by_index(rows, view, index, limit)]
    else:
        basis = _cheapest_basis(rows, limit) if num_directions is None else _directions(rows, num_directions)
        found = [_of_views(rows, view, basis, limit) for view in views]
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return unique_pairs(first, second, similarity)


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


def _cheapest_basis(rows: UnitRows, limit: float) -> np.ndarray:
    """(D, k) directions whose bound saves the most, as tried on a sample of pairs; k = 0 where none saves anything."""
    dim = rows.x.shape[1]
    sizes = [size for size in _NUM_DIRECTIONS if 4 * size <= dim and len(rows) >= _BOUND_FROM]
    if not sizes:
        return np.zeros((dim, 0), dtype=np.float32)
    directions = _directions(rows, max(sizes))
    one, other = UnitRows(_sample(rows, 1)), UnitRows(_sample(rows, 2))

    def cost(size: int) -> float:
        """Columns multiplied for a pair, in the mean: those of the bound, and all where it does not settle the pair."""
        basis = directions[:, :size]
        share = np.mean(_shortened(one, basis) @ _shortened(other, basis).T >= limit - _SLACK)
        return size + 1 + min(1, _CHECK_COST * float(share)) * dim

    costs = {0: dim} | {size: cost(size) for size in sizes}
    return directions[:, : min(costs, key=costs.__getitem__)]


def _directions(rows: UnitRows, num_directions: int) -> np.ndarray:
    """(D, k) orthonormal, those that hold most of a sample of rows first; k is num_directions, or less for few rows.

    By three rounds of subspace iteration: nearly the leading eigenvectors, in a tenth of their time.
    """
    sample = _sample(rows, 0)
    sample = sample[np.isfinite(sample).all(axis=1)]
    directions = sample[:num_directions].T
    for _ in range(3):
        directions = np.linalg.qr(sample.T @ (sample @ directions)).Q
    return directions


def _sample(rows: UnitRows, part: int) -> np.ndarray:
    """Rows from all over x, _SAMPLE or a few more where there are as many; others for part 0, 1 and 2."""
    step = max(1, len(rows) // (3 * _SAMPLE))
    return rows[part * step :: 3 * step]


def _shortened(rows: UnitRows, basis: np.ndarray) -> np.ndarray:
    """(N, k + 1): each row's coordinates in the basis and the length of the rest, whose products bound the cosines."""
    short = np.empty((len(rows), basis.shape[1] + 1), dtype=np.float32)
    for block in blocks_of(len(rows)):
        whole = rows[block]
        short[block, :-1] = inside = whole @ basis
        short[block, -1] = np.linalg.norm(whole - inside @ basis.T, axis=1)
    return short


def _of_views(rows: UnitRows, view: UnitRows, basis: np.ndarray, limit: float) -> _Found:
    """Pairs of a row and a row of the view, in any order; some twice where the view is the rows themselves."""
    blocks, nothing = blocks_of(len(rows)), np.zeros(0, dtype=np.int64)
    is_bounded = basis.shape[1] > 0
    short = _shortened(rows, basis) if is_bounded else basis
    short_view = _shortened(view, basis) if is_bounded and view is not rows else short
    found = [(nothing, nothing, nothing.astype(np.float32))]
    for top, left in combinations_with_replacement(blocks, 2) if view is rows else product(blocks, repeat=2):
        may_reach = short[top] @ short_view[left].T >= limit - _SLACK if is_bounded else None
        if may_reach is None or np.count_nonzero(may_reach) * _CHECK_COST > may_reach.size:
            i, j, similarity = _by_product(rows, view, top, left, limit)
        else:
            i, j = _places(may_reach)
            i, j, similarity = _one_by_one(rows, view, i + top.start, j + left.start, limit)
        keep = i != j
        found.append((i[keep], j[keep], similarity[keep].clip(-1, 1)))
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, second, similarity


def _by_index(rows: UnitRows, view: UnitRows, index: AnnIndex, limit: float) -> Iterator[_Found]:
    """Pairs of a row of the view and one that the index knows, compared in full."""
    for block, (i, j) in zip(blocks_of(len(view)), index.within(view.blocks(), limit - HALF), strict=True):
        i, j, similarity = _one_by_one(view, rows, i + block.start, j, limit)
        keep = i != j
        yield i[keep], j[keep], similarity[keep].clip(-1, 1)


def _by_product(rows: UnitRows, view: UnitRows, top: slice, left: slice, limit: float) -> _Found:
    one = rows[top]
    other = one if view is rows and top == left else view[left]  # of one array with itself NumPy takes half the product
    block = one @ other.T
    i, j = _places(block >= limit)
    return i + top.start, j + left.start, block[i, j]


def _one_by_one(rows: UnitRows, view: UnitRows, i: np.ndarray, j: np.ndarray, limit: float) -> _Found:
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(i), _CHUNK)]
    similarity = np.concatenate([np.zeros(0, np.float32), *(np.vecdot(rows[i[at]], view[j[at]]) for at in chunks)])
    reached = similarity >= limit
    return i[reached], j[reached], similarity[reached]


def _places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers of what is true, by way of a flat mask: np.nonzero takes 50 times as long for a matrix."""
    i, j = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return i, j


def knn_pairs(x: np.ndarray, *, k: int, views: Sequence[np.ndarray] = (), exact_to: int = EXACT_TO) -> np.ndarray:
    """(P, 2) row numbers first < second, sorted, unique: each row of x (N, D) and the k rows nearest to it by cosine.

    views: further looks (N, D) at the same rows, such as mirrored ones; a row is as near as the best of them. Takes
    N x N x D operations a view, and the memory of N x k. exact_to: most rows that are searched exactly.
    """
    if len(x) < 2 or k < 1:
        return np.zeros((0, 2), dtype=np.int64)
    looks = [UnitRows(view) for view in (x, *views)]
    find = _nearest if len(x) <= exact_to else _nearest_by_index
    distances, others = (np.concatenate(part, axis=1) for part in zip(*find(looks, min(k + 1, len(x))), strict=True))
    own = np.broadcast_to(np.arange(len(x))[:, None], others.shape)
    is_none = (others == own) | (others < 0)
    order = np.argsort(np.where(is_none, np.inf, distances), axis=1, kind="stable")[:, :k]
    pairs = np.stack([np.take_along_axis(part, order, axis=1) for part in (own, others)], axis=-1)
    return np.unique(np.sort(pairs[~np.take_along_axis(is_none, order, axis=1)], axis=1), axis=0)


def _nearest(looks: Sequence[UnitRows], k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each look: distances and row numbers (N, k) of the rows of the first look that are nearest."""
    rows = np.nan_to_num(looks[0][:])
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows)
    return [search.kneighbors(rows if look is looks[0] else np.nan_to_num(look[:])) for look in looks]


def _nearest_by_index(looks: Sequence[UnitRows], k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same by the approximate index; row number -1 where it knows of fewer."""
    index, found = build_index(looks[0]), []
    for look in looks:
        cosines, others = (np.concatenate(part) for part in zip(*index.nearest(look.blocks(), k), strict=True))
        found.append((1 - cosines, others))
    return found
