"""Pairs of rows of vectors (features, hashes) that are similar, or each other's nearest, by cosine in bounded memory.

Up to EXACT_TO rows none is lost; beyond, an approximate index finds pairs, of which a few are missed and none is
wrong: each is compared in full.

All pairs of many long rows are compared by a bound first. With p the coordinates of a row x of length 1 in a few
orthonormal directions and r the length of what lies outside them, Cauchy and Schwarz give

    cosine(x, y) <= p(x) . p(y) + r(x) r(y) = [p(x), r(x)] . [p(y), r(y)],

a product of few columns instead of D. Only pairs whose bound reaches the limit are compared in full, so none is lost,
however badly the directions are chosen; well chosen, they hold most of every row, and few pairs are left.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product

import numpy as np

from tandem.curation.duplicates.index import EXACT_TO, HALF, AnnIndex, FlatIndex, UnitRows, blocks_of
from tandem.curation.duplicates.pairs import Pairs, unique_pairs

_ROUNDING = 1e-5  # float32 products differ from the true cosine by less; no pair that reaches the limit is lost to it
_LAST_BITS = 1e-6  # of a product, which depend on how many cores share it out
_SLACK = 1e-4  # what rounding may take from a bound, many times over
_BOUND_FROM = 16_384  # rows; fewer are compared in seconds, of which choosing directions would take a good part
_SAMPLE = 1024  # rows that directions are fitted to, and rows a side of the pairs that they are tried on
_NUM_DIRECTIONS = (32, 64, 128, 256)  # tried where they are at most a quarter of D
_CHECK_COST = 40  # measured: one pair picked out and compared takes as long as 40 pairs in a block of a product
_CHUNK = 512  # pairs picked out at a time: their rows stay in the cache

_Triples = tuple[np.ndarray, np.ndarray, np.ndarray]  # first and second row numbers and cosines of pairs


def radius_pairs(
    vectors: np.ndarray,
    *,
    min_similarity: float,
    variants: Sequence[np.ndarray] = (),
    num_directions: int | None = None,
    exact_to: int = EXACT_TO,
) -> Pairs:
    """All pairs of rows of vectors (N, D) with cosine >= min_similarity (less 1e-5, for rounding).

    variants: further vectors (N, D) of the same images, such as hashes of their mirror images; a pair counts by the
    best cosine of a row of vectors with the other's row of any variant. Rows of zeros are similar to nothing. vectors
    is not copied; it may be a memory map. num_directions: of the bound (0: none), which changes the time and never the
    pairs; None: what looks cheapest. exact_to: most rows that are searched exactly; of more, a few pairs may be missed.
    """
    rows, limit = UnitRows(vectors), min_similarity - _ROUNDING
    queries = [rows, *(UnitRows(variant) for variant in variants)]
    if len(rows) > exact_to:
        index = AnnIndex(rows)
        found = [part for variant in queries for part in _indexed_pairs(rows, variant, index, limit)]
    else:
        basis = _cheapest_basis(rows, limit) if num_directions is None else _directions(rows, num_directions)
        found = [_exact_pairs(rows, variant, basis, limit) for variant in queries]
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return unique_pairs(first, second, similarity)


def knn_pairs(
    vectors: np.ndarray, *, k: int, variants: Sequence[np.ndarray] = (), exact_to: int = EXACT_TO
) -> np.ndarray:
    """(P, 2) row numbers first < second, sorted, unique: each row of vectors (N, D) and the k nearest to it by cosine.

    variants: as of radius_pairs; a row is as near as the best of its variants. Rows of zeros are near to nothing.
    Takes N x N x D operations a variant, and the memory of the vectors. exact_to: most rows that are searched exactly.
    The same bytes whatever the number of cores, where the search is exact.
    """
    if len(vectors) < 2 or k < 1:
        return np.zeros((0, 2), dtype=np.int64)
    rows = UnitRows(vectors)
    index = FlatIndex(rows) if len(rows) <= exact_to else AnnIndex(rows)
    queries = [rows, *(UnitRows(variant) for variant in variants)]
    found = [_neighbors(index, rows, variant, min(k + 1, len(rows))) for variant in queries]
    similarity, others = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    is_neighbor = np.isfinite(np.take_along_axis(similarity, order, axis=1))
    queried = np.broadcast_to(np.arange(len(rows))[:, None], order.shape)
    pairs = np.stack([queried, np.take_along_axis(others, order, axis=1)], axis=-1)[is_neighbor]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def cosines(vectors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) cosine of the rows first and second (P,) of vectors (N, D); 0 for a row of zeros."""
    one, other = np.asarray(vectors[first], dtype=np.float32), np.asarray(vectors[second], dtype=np.float32)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("nd,nd->n", one, other) / np.where(norms > 0, norms, 1)


def _neighbors(index: FlatIndex | AnnIndex, rows: UnitRows, queries: UnitRows, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and row numbers (N, k); -inf where it is the row itself, a row of zeros or none at all."""
    similarity, others = index.nearest(queries, k)
    is_itself = others == np.arange(len(others))[:, None]
    is_none = is_itself | (others < 0) | rows.is_zero[others] | queries.is_zero[:, None]
    return np.where(is_none, -np.inf, similarity), others


def _cheapest_basis(rows: UnitRows, limit: float) -> np.ndarray:
    """(D, k) directions whose bound saves the most, as tried on a sample of pairs; k = 0 where none saves anything."""
    sizes = [size for size in _NUM_DIRECTIONS if 4 * size <= rows.dim and len(rows) >= _BOUND_FROM]
    if not sizes:
        return np.zeros((rows.dim, 0), dtype=np.float32)
    directions = _directions(rows, max(sizes))
    one, other = UnitRows(_sample(rows, 1)), UnitRows(_sample(rows, 2))

    def cost(size: int) -> float:
        """Columns multiplied for a pair, in the mean: those of the bound, and all where it does not settle the pair."""
        basis = directions[:, :size]
        fraction = np.mean(_shortened(one, basis) @ _shortened(other, basis).T >= limit - _SLACK)
        return size + 1 + min(1, _CHECK_COST * float(fraction)) * rows.dim

    costs = {0: rows.dim} | {size: cost(size) for size in sizes}
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
    """Rows from all over, _SAMPLE or a few more where there are as many; others for part 0, 1 and 2."""
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


def _exact_pairs(rows: UnitRows, variant: UnitRows, basis: np.ndarray, limit: float) -> _Triples:
    """Pairs of a row and a row of the variant, in any order; some twice where the variant is the rows themselves."""
    blocks, nothing = blocks_of(len(rows)), np.zeros(0, dtype=np.int64)
    is_bounded = basis.shape[1] > 0
    short = _shortened(rows, basis) if is_bounded else basis
    short_variant = _shortened(variant, basis) if is_bounded and variant is not rows else short
    found = [(nothing, nothing, nothing.astype(np.float32))]
    for top, left in combinations_with_replacement(blocks, 2) if variant is rows else product(blocks, repeat=2):
        may_reach = short[top] @ short_variant[left].T >= limit - _SLACK if is_bounded else None
        if may_reach is None or np.count_nonzero(may_reach) * _CHECK_COST > may_reach.size:
            i, j, similarity = _block_pairs(rows, variant, top, left, limit)
        else:
            i, j = _nonzero(may_reach)
            i, j, similarity = _pairs_at(rows, variant, i + top.start, j + left.start, limit)
        keep = i != j
        found.append((i[keep], j[keep], similarity[keep].clip(-1, 1)))
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, second, similarity


def _indexed_pairs(rows: UnitRows, variant: UnitRows, index: AnnIndex, limit: float) -> Iterator[_Triples]:
    """Pairs of a row of the variant and one that the index knows, compared in full."""
    for block, (i, j) in zip(blocks_of(len(variant)), index.within(variant, limit - HALF), strict=True):
        i, j, similarity = _pairs_at(variant, rows, i + block.start, j, limit)
        keep = i != j
        yield i[keep], j[keep], similarity[keep].clip(-1, 1)


def _block_pairs(rows: UnitRows, variant: UnitRows, top: slice, left: slice, limit: float) -> _Triples:
    """Those of all pairs of two blocks whose cosine reaches the limit; those at the limit are compared one by one."""
    one = rows[top]
    # of one array with itself NumPy takes half the product
    other = one if variant is rows and top == left else variant[left]
    block = one @ other.T
    i, j = _nonzero(block >= limit - _LAST_BITS)
    similarity = block[i, j]
    at_limit = np.flatnonzero(similarity < limit + _LAST_BITS)
    similarity[at_limit] = np.vecdot(one[i[at_limit]], other[j[at_limit]])
    is_reached = similarity >= limit
    return i[is_reached] + top.start, j[is_reached] + left.start, similarity[is_reached]


def _pairs_at(rows: UnitRows, variant: UnitRows, i: np.ndarray, j: np.ndarray, limit: float) -> _Triples:
    """Those of the pairs of a row i and a row j of the variant whose cosine reaches the limit."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(i), _CHUNK)]
    similarity = np.concatenate([np.zeros(0, np.float32), *(np.vecdot(rows[i[at]], variant[j[at]]) for at in chunks)])
    is_reached = similarity >= limit
    return i[is_reached], j[is_reached], similarity[is_reached]


def _nonzero(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers of what is true, by way of a flat mask: np.nonzero takes 50 times as long for a matrix."""
    i, j = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return i, j
