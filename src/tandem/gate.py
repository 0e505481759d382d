"""The gate: no picture has a near copy in another split.

It shares no code with what found the duplicates and made the splits (`tandem.duplicates`, `tandem.splits`):
distances come from scikit-learn in float64 and bits are counted with XOR, so that a mistake there is seen here.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from tandem.errors import LeakySplit

# float32 products and float64 distances differ by less than this; a pair so near the limit is not a leak
_TOLERANCE = 1e-5
_MIN_SET_BITS = 96  # a flat picture's hash means nothing; see tandem.hashes
_BLOCK = 256


def require_no_leak(
    ids: Sequence[str],
    rows: Mapping[str, np.ndarray],
    *,
    features: np.ndarray,
    hashes: np.ndarray,
    min_similarity: float,
    max_hash_bits: int,
) -> float:
    """The highest cosine found across splits; raises LeakySplit when a pair is as close as a duplicate.

    rows: split -> row numbers. features: (N, D). hashes: (N, 8, 32) packed bits; row 0 is the upright picture.
    """
    nearest = [-1.0]
    for one, other in combinations(rows, 2):
        distances, positions = _nearest(features[rows[one]], features[rows[other]])
        nearest.append(1 - float(distances.min(initial=2)))
        close = np.flatnonzero(distances < 1 - min_similarity - _TOLERANCE)
        leaks = [
            (rows[one][i], rows[other][positions[i]], f"cosine {1 - distances[i]:.4f} >= {min_similarity}")
            for i in close
        ]
        leaks += [
            (i, j, f"{bits} of 256 hash bits <= {max_hash_bits}")
            for i, j, bits in _alike(hashes, rows[one], rows[other], max_hash_bits)
        ]
        if leaks:
            i, j, reason = leaks[0]
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
    found = []
    upright = hashes[:, 0]
    usable = np.bitwise_count(upright).sum(axis=1) >= _MIN_SET_BITS
    one, other = one[usable[one]], other[usable[other]]
    for start in range(0, len(one), _BLOCK):
        part = one[start : start + _BLOCK]
        for oriented in hashes[other].transpose(1, 0, 2):
            bits = np.bitwise_count(upright[part][:, None] ^ oriented[None]).sum(axis=2, dtype=np.int64)
            found += [(part[i], other[j], bits[i, j]) for i, j in zip(*np.nonzero(bits <= max_bits), strict=True)]
    return found
