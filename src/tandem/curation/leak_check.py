"""the leakage check: no image has a near copy in another split.

It shares no code with what found the duplicates and made the splits (`tandem.curation.duplicates.search`, `tandem.tables.splits`):
distances come from scikit-learn in float64 and bits are counted with XOR, so that a mistake there is seen here.
Images of different things can be near. Each such pair must have been looked at: it is named to the leakage check.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from tandem.errors import LeakageError

_ROUNDING = 1e-12  # of float64: equal rows may lie this far apart
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
    verified: Collection[tuple[int, int]] = (),
) -> np.ndarray:
    """(n,) each image's highest cosine to one of another split; raises LeakySplit at a near pair across splits.

    rows: split -> row numbers; the result holds their images in this order, -1 where other splits are empty.
    features: (N, D). hashes: (N, 8, 32) packed bits; row 0 is the upright image. verified: similar pairs of rows,
    smaller first, that were looked at and show different things.
    """
    nearest = {split: np.full(len(numbers), -1.0) for split, numbers in rows.items()}
    for one, other in combinations(rows, 2):
        leaks = {
            (i, j): f"{bits} of 256 hash bits <= {max_hash_distance}"
            for i, j, bits in _similar_hashes(hashes, rows[one], rows[other], max_hash_distance)
        }
        for start, cosines in _cosines(features[rows[one]], features[rows[other]]):
            part = slice(start, start + len(cosines))
            nearest[one][part] = np.maximum(nearest[one][part], cosines.max(axis=1))
            nearest[other] = np.maximum(nearest[other], cosines.max(axis=0))
            for i, j in np.argwhere(cosines >= min_similarity - _ROUNDING).tolist():
                pair = int(rows[one][start + i]), int(rows[other][j])
                leaks[pair] = f"cosine {cosines[i, j]:.4f} >= {min_similarity}"
        leaks = {pair: reason for pair, reason in leaks.items() if (min(pair), max(pair)) not in verified}
        if leaks:
            (i, j), reason = next(iter(leaks.items()))
            raise LeakageError(
                f"{len(leaks)} near duplicates lie in both {one} and {other}; the first: {ids[i]} and {ids[j]} ({reason}). "
                "The groups do not hold what they must: run curate again, and report this if it stays"
            )
    return np.concatenate(list(nearest.values()))


def _cosines(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """First row and cosines (b, n) of blocks of rows of x with all rows of y."""
    if len(x) and len(y):
        start = 0
        double = x.astype(np.float64), y.astype(np.float64)
        for distances in pairwise_distances_chunked(*double, metric="cosine", working_memory=_WORKING_MB):
            yield start, 1 - distances
            start += len(distances)


def _similar_hashes(
    hashes: np.ndarray, one: np.ndarray, other: np.ndarray, max_bits: int
) -> list[tuple[int, int, int]]:
    """(row, row, differing bits) of all pairs whose upright hash differs little from any orientation of the other's."""
    found: list[tuple[int, int, int]] = []
    hashes = np.ascontiguousarray(hashes).view(np.uint64)  # eight bytes at a time: (N, 8, 4)
    usable = np.bitwise_count(hashes).sum(axis=2) >= _MIN_SET_BITS
    one = one[usable[one, 0]]
    for orientation in range(hashes.shape[1]):
        turned = other[usable[other, orientation]]
        for start in range(0, len(one), _BLOCK):
            part = one[start : start + _BLOCK]
            bits = np.bitwise_count(hashes[part, 0][:, None] ^ hashes[turned, orientation]).sum(axis=2)
            near = np.nonzero(bits <= max_bits)
            found += zip(part[near[0]].tolist(), turned[near[1]].tolist(), bits[near].tolist(), strict=True)
    return found
