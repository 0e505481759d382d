"""Pairs of images of two splits that are similar, all of them compared.

Cosines come from scikit-learn in float64 and bits are counted with XOR.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from tandem.curation.settings import SimilarityThresholds

_ROUNDING = 1e-12  # of float64: equal features may lie this far apart
_MIN_SET_BITS = 96  # a flat image's hash means nothing; see tandem.images.hashing
_BLOCK, _COLUMNS = 64, 2048  # hashes compared at a time: their distances stay in the cache
_ROWS = 2048  # features compared at a time, so many with so many: their copies in float64 hold 100 MB

Similar = list[tuple[int, int, str]]  # two rows, and what is similar of them


def compare_all(
    features: np.ndarray, hashes: np.ndarray, rows: Mapping[str, np.ndarray], limits: SimilarityThresholds
) -> tuple[Similar, np.ndarray]:
    """All pairs in two splits that are similar, and each image's highest cosine to another split; -1 where it is empty.

    features: (N, D). hashes: (N, 8, 32) packed bits. rows: split -> row numbers.
    """
    highest = {split: np.full(len(numbers), -1.0) for split, numbers in rows.items()}
    found = []
    for one, other in combinations(rows, 2):
        for i, j, distance in _similar_hashes(hashes, rows[one], rows[other], limits.max_hash_distance):
            found.append((i, j, hash_reason(distance, limits)))
        for these, those, cosines in _cosines(features, rows[one], rows[other]):
            highest[one][these] = np.maximum(highest[one][these], cosines.max(axis=1))
            highest[other][those] = np.maximum(highest[other][those], cosines.max(axis=0))
            first, second = rows[one][these], rows[other][those]
            for i, j in np.argwhere(cosines >= limits.min_similarity - _ROUNDING).tolist():
                found.append((int(first[i]), int(second[j]), cosine_reason(cosines[i, j], limits)))
    return found, np.concatenate(list(highest.values()))


def hash_reason(distance: int, limits: SimilarityThresholds) -> str:
    """For people: why hashes so far apart are similar."""
    return f"hash distance {distance} of 256 <= {limits.max_hash_distance}"


def cosine_reason(cosine: float, limits: SimilarityThresholds) -> str:
    """For people: why features of this cosine are similar."""
    return f"cosine {cosine:.4f} >= {limits.min_similarity}"


def _cosines(features: np.ndarray, one: np.ndarray, other: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Cosines (m, n) of blocks of all pairs of rows, and which of one and of other they are."""
    from sklearn.metrics.pairwise import cosine_similarity  # half a second

    for start in range(0, len(one), _ROWS):
        these = slice(start, start + _ROWS)
        block = features[one[these]].astype(np.float64)
        for start_other in range(0, len(other), _ROWS):
            those = slice(start_other, start_other + _ROWS)
            yield these, those, cosine_similarity(block, features[other[those]].astype(np.float64))


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
        words = np.ascontiguousarray(hashes[turned, orientation].T)  # (4, n)
        for start in range(0, len(one), _BLOCK):
            part = one[start : start + _BLOCK]
            distances = _distances(np.ascontiguousarray(hashes[part, 0].T), words)
            i, j = np.divmod(np.flatnonzero(distances <= max_hash_distance), max(1, len(turned)))
            found += zip(part[i].tolist(), turned[j].tolist(), distances[i, j].tolist(), strict=True)
    return found


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(m, n) uint16 bits that differ, of words (4, m) and (4, n)."""
    distances = np.empty((one.shape[1], other.shape[1]), dtype=np.uint16)
    for start in range(0, other.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        first, second, third, fourth = (np.bitwise_count(a[:, None] ^ b[part]) for a, b in zip(one, other, strict=True))
        distances[:, part] = (first + second).astype(np.uint16) + (third + fourth)  # two words: 128, which a byte holds
    return distances
