"""Pairs of rows of features that are similar, or each other's nearest, by cosine in bounded memory.

Up to EXACT_TO rows none is lost; beyond, an approximate index finds pairs (.approximate), of which a few are
missed and none is wrong: each is compared in full.

All pairs of many long rows are compared by a bound first (.bounds).
"""

from itertools import combinations_with_replacement

import numpy as np

from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor
from tandem.curation.duplicates.by_features.all_pairs import (
    CHUNK,
    Triples,
    block_pairs,
    nonzero,
    pairs_at,
    similar_and_nearest_of_all,
)
from tandem.curation.duplicates.by_features.approximate import pairs_by_index
from tandem.curation.duplicates.by_features.bounds import (
    CHECK_COST,
    SLACK,
    cheapest_basis,
    leading_directions,
    shortened,
)
from tandem.curation.duplicates.by_features.index import EXACT_TO
from tandem.curation.duplicates.by_features.rows import UnitRows, blocks_of
from tandem.curation.duplicates.pairs import Pairs, unique_pairs

_ROUNDING = 1e-5  # float32 products differ from the true cosine by less; no pair that reaches the limit is lost to it
_NO_LIMIT = 2.0  # which no cosine reaches


def similar_and_nearest(
    vectors: np.ndarray, *, min_similarity: float, k: int, exact_to: int = EXACT_TO, executor: Executor = LOCAL
) -> tuple[Pairs, np.ndarray]:
    """As radius_pairs and knn_pairs. exact_to: most rows that are searched exactly, here.

    Of more, a few pairs are missed, and the executor searches.
    """
    if len(vectors) <= exact_to:
        return _exact(vectors, min_similarity, k)
    return pairs_by_index(UnitRows(vectors), limit=min_similarity - _ROUNDING, k=k, executor=executor)


def radius_pairs(vectors: np.ndarray, *, min_similarity: float, num_directions: int | None = None) -> Pairs:
    """All pairs of rows of vectors (N, D) with cosine >= min_similarity (less 1e-5, for rounding).

    Rows of zeros are similar to nothing. vectors is not copied; it may be a memory map. num_directions: of the bound
    (0: none), which changes the time and never the pairs; None: what looks cheapest.
    """
    rows, limit = UnitRows(vectors), min_similarity - _ROUNDING
    basis = cheapest_basis(rows, limit) if num_directions is None else leading_directions(rows, num_directions)
    return unique_pairs(*_exact_pairs(rows, basis, limit))


def knn_pairs(vectors: np.ndarray, *, k: int) -> np.ndarray:
    """(P, 2) row numbers first < second, sorted, unique: each row of vectors (N, D) and the k nearest to it by cosine.

    Rows of zeros are near to nothing. Takes N x N x D / 2 operations. The same bytes whatever the number of cores.
    """
    return _exact(vectors, _NO_LIMIT, k)[1]


def cosines(vectors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) cosine of the rows first and second (P,) of vectors (N, D); 0 for a row of zeros."""
    found = np.zeros(len(first), dtype=np.float32)
    for at in (slice(start, start + CHUNK) for start in range(0, len(first), CHUNK)):
        one, other = (np.asarray(vectors[rows[at]], dtype=np.float32) for rows in (first, second))
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        found[at] = np.einsum("nd,nd->n", one, other) / np.where(norms > 0, norms, 1)
    return found


def _exact(vectors: np.ndarray, min_similarity: float, k: int) -> tuple[Pairs, np.ndarray]:
    """Both by one product, where nearest are asked for."""
    if min(k, len(vectors) - 1) < 1:
        return radius_pairs(vectors, min_similarity=min_similarity), np.zeros((0, 2), dtype=np.int64)
    found, nearest = similar_and_nearest_of_all(UnitRows(vectors), min_similarity - _ROUNDING, min(k, len(vectors) - 1))
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return unique_pairs(first, second, similarity.clip(-1, 1)), nearest


def _exact_pairs(rows: UnitRows, basis: np.ndarray, limit: float) -> Triples:
    """Pairs of two rows, in any order; some twice."""
    blocks, nothing = blocks_of(len(rows)), np.zeros(0, dtype=np.int64)
    is_bounded = basis.shape[1] > 0
    short = shortened(rows, basis) if is_bounded else basis
    found = [(nothing, nothing, nothing.astype(np.float32))]
    for top, left in combinations_with_replacement(blocks, 2):
        may_reach = short[top] @ short[left].T >= limit - SLACK if is_bounded else None
        if may_reach is None or np.count_nonzero(may_reach) * CHECK_COST > may_reach.size:
            i, j, similarity = _block_pairs(rows, top, left, limit)
        else:
            i, j = nonzero(may_reach)
            i, j, similarity = pairs_at(rows, i + top.start, j + left.start, limit)
        keep = i != j
        found.append((i[keep], j[keep], similarity[keep].clip(-1, 1)))
    first, second, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, second, similarity


def _block_pairs(rows: UnitRows, top: slice, left: slice, limit: float) -> Triples:
    one = rows[top]
    # of one array with itself NumPy takes half the product
    other = one if top == left else rows[left]
    i, j, similarity = block_pairs(one, other, one @ other.T, limit)
    return i + top.start, j + left.start, similarity
