"""The gate: no picture has a near copy in another split.

It shares no code with what found the duplicates and made the splits (`tandem.duplicates`, `tandem.splits`):
distances come from scikit-learn in float64 and bits are counted with XOR, so that a mistake there is seen here.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from tandem.errors import LeakySplit

_ROUNDING = 1e-12  # of float64: equal rows may lie this far apart
_MIN_SET_BITS = 96  # a flat picture's hash means nothing; see tandem.hashes
_BLOCK = 256


def require_no_leak(
    ids: Sequence[str],
    rows: Mapping[str, np.ndarray],
    *,
    features: np.ndarray,
    hashes: np.ndarray,
    similarity: float,
    hash_bits: int,
) -> float:
    """The highest cosine found across splits; raises LeakySplit when a pair is as close as a duplicate.

    rows: split -> row numbers. features: (N, D). hashes: (N, 8, 32) packed bits; row 0 is the upright picture.
    """
    nearest = [-1.0]
    for one, other in combinations(rows, 2):
        distances, positions = _nearest(features[rows[one]], features[rows[other]])
        nearest.append(1 - float(distances.min(initial=2)))
        leaks = {
            (i, j): f"{bits} of 256 hash bits <= {hash_bits}"
            for i, j, bits in _alike(hashes, rows[one], rows[other], hash_bits)
        }
        for row in np.flatnonzero(distances <= 1 - similarity + _ROUNDING):
            pair = int(rows[one][row]), int(rows[other][positions[row]])
            leaks[pair] = f"cosine {1 - distances[row]:.4f} >= {similarity}"
        if leaks:
            (i, j), reason = next(iter(leaks.items()))
            raise LeakySplit(
                f"{len(leaks)} near copies lie in both {one} and {other}; the first: {ids[i]} and {ids[j]} ({reason}). "
                "The groups do not hold what they must: run curate again, and report this if it stays"
            )
    return max(nearest)


def _nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine distance of each row of x to its nearest row of y, and that row."""
    if not len(x) or not len(y):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    search = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(np.asarray(y, dtype=np.float64))
    distances, positions = search.kneighbors(np.asarray(x, dtype=np.float64))
    return distances[:, 0], positions[:, 0]


def _alike(hashes: np.ndarray, one: np.ndarray, other: np.ndarray, max_bits: int) -> list[tuple[int, int, int]]:
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
