"""The leakage check: no image has a near duplicate in another split.

It shares no code with what found the near duplicates and made the splits (`tandem.curation.duplicates`,
`tandem.tables.splits`): distances come from scikit-learn in float64 and bits are counted with XOR, so that a mistake
there is seen here. Images of different things can be similar. Each such pair must have been verified and rejected: it
is named to the leakage check.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from tandem.errors import LeakageError

_ROUNDING = 1e-12  # of float64: equal features may lie this far apart
_MIN_SET_BITS = 96  # a flat image's hash means nothing; see tandem.images.hashing
_BLOCK = 256
_WORKING_MB = 64  # of distances at a time; scikit-learn's own 1024 takes as long


def check_leakage(
    ids: Sequence[str],
    rows: Mapping[str, np.ndarray],
    *,
    features: np.ndarray,
    hashes: np.ndarray,
    min_similarity: float,
    max_hash_distance: int,
    rejected: Collection[tuple[int, int]] = (),
) -> np.ndarray:
    """(n,) each image's highest cosine to one of another split; raises LeakageError at a similar pair across splits.

    rows: split -> row numbers; the result holds their images in this order, -1 where other splits are empty.
    features: (N, D). hashes: (N, 8, 32) packed bits; the first of the eight is of the upright image. rejected: similar
    pairs of rows, smaller first, that were verified and show different things.
    """
    highest = {split: np.full(len(numbers), -1.0) for split, numbers in rows.items()}
    for one, other in combinations(rows, 2):
        leaks = {
            (i, j): f"hash distance {distance} of 256 <= {max_hash_distance}"
            for i, j, distance in _similar_hashes(hashes, rows[one], rows[other], max_hash_distance)
        }
        for start, cosines in _cosines(features[rows[one]], features[rows[other]]):
            part = slice(start, start + len(cosines))
            highest[one][part] = np.maximum(highest[one][part], cosines.max(axis=1))
            highest[other] = np.maximum(highest[other], cosines.max(axis=0))
            for i, j in np.argwhere(cosines >= min_similarity - _ROUNDING).tolist():
                pair = int(rows[one][start + i]), int(rows[other][j])
                leaks[pair] = f"cosine {cosines[i, j]:.4f} >= {min_similarity}"
        leaks = {pair: reason for pair, reason in leaks.items() if (min(pair), max(pair)) not in rejected}
        _require_none(leaks, ids, one, other)
    return np.concatenate(list(highest.values()))


def _require_none(leaks: Mapping[tuple[int, int], str], ids: Sequence[str], one: str, other: str) -> None:
    if leaks:
        (i, j), reason = next(iter(leaks.items()))
        raise LeakageError(
            f"{len(leaks)} pairs of near duplicates lie in both {one} and {other}; the first: {ids[i]} and {ids[j]} "
            f"({reason}). The groups do not hold what they must: run curate again, and report this if it stays"
        )


def _cosines(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """First row and cosines (b, n) of blocks of rows of features (m, D) with all of the others (n, D)."""
    if len(one) and len(other):
        start = 0
        double = one.astype(np.float64), other.astype(np.float64)
        for distances in pairwise_distances_chunked(*double, metric="cosine", working_memory=_WORKING_MB):
            yield start, 1 - distances
            start += len(distances)


def _similar_hashes(
    hashes: np.ndarray, one: np.ndarray, other: np.ndarray, max_hash_distance: int
) -> list[tuple[int, int, int]]:
    """(row, row, distance) of all pairs whose upright hash differs little from any orientation of the other's."""
    found: list[tuple[int, int, int]] = []
    hashes = np.ascontiguousarray(hashes).view(np.uint64)  # eight bytes at a time: (N, 8, 4)
    usable = np.bitwise_count(hashes).sum(axis=2) >= _MIN_SET_BITS
    one = one[usable[one, 0]]
    for orientation in range(hashes.shape[1]):
        turned = other[usable[other, orientation]]
        for start in range(0, len(one), _BLOCK):
            part = one[start : start + _BLOCK]
            distances = np.bitwise_count(hashes[part, 0][:, None] ^ hashes[turned, orientation]).sum(axis=2)
            i, j = np.nonzero(distances <= max_hash_distance)
            found += zip(part[i].tolist(), turned[j].tolist(), distances[i, j].tolist(), strict=True)
    return found
