"""Which images are copies of one another: candidates are found, and each pair is laid over one another and looked at.

Candidates are pairs that are near by features or by perceptual hash in any orientation, and each image with its
nearest by either: a crop, a frame or a blur moves features and hash far, but seldom past other images. What decides
is one number, the correlation of the pixels once one image lies over the other (tandem.curation.duplicates.alignment).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tandem.curation.duplicates import alignment
from tandem.curation.duplicates.alignment import Keypoints
from tandem.curation.duplicates.search import Pairs, knn_pairs, radius_pairs, unique_pairs
from tandem.curation.settings import CandidateSettings, SimilarityThresholds
from tandem.files import write_csv
from tandem.images.hashing import NUM_ORIENTATIONS, as_signs, similarity_of_distance

_NUM_HASH_NEIGHBORS = 2  # a hash that is not near says little: only its very nearest are looked at
_MIN_SAVED = 0.5  # a correlation below says nothing, and there are very many
_COLUMNS = ["first", "second", "similarity", "correlation"]


@dataclass(frozen=True)
class ScoredPairs:
    """pairs: all candidates. correlation: (P,) of their pixels, in [-1, 1]."""

    pairs: Pairs
    correlation: np.ndarray

    @property
    def row_pairs(self) -> set[tuple[int, int]]:
        """The pairs as (smaller row, larger row)."""
        return set(zip(self.pairs.first.tolist(), self.pairs.second.tolist(), strict=True))

    def where(self, chosen: np.ndarray) -> "ScoredPairs":
        """The pairs that a mask (P,) chooses."""
        pairs = self.pairs
        return ScoredPairs(
            Pairs(pairs.first[chosen], pairs.second[chosen], pairs.similarity[chosen]), self.correlation[chosen]
        )


def verify_candidates(
    x: np.ndarray, hashes: np.ndarray, keypoints_of: Callable[[int], Keypoints], *, candidates: CandidateSettings
) -> ScoredPairs:
    """All candidates with their correlation. x: (N, D) features. hashes: (N, 8, 32). sketch_of: row -> Sketch.

    Images that are near are also compared as they are, in all orientations: some have no points to align them by.
    """
    near = similar_pairs(x, hashes, thresholds=candidates.thresholds)
    nearest = _knn_pairs(x, hashes, candidates.num_neighbors)
    first, second = np.concatenate([near.first, nearest[:, 0]]), np.concatenate([near.second, nearest[:, 1]])
    pairs = unique_pairs(first, second, cosines(x, first, second))
    is_near = set(zip(near.first.tolist(), near.second.tolist(), strict=True))
    rows = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    correlation = []
    for i, j in tqdm(rows, "lay images over one another", unit="pair", disable=None):
        value = alignment.correlation(keypoints_of(i), keypoints_of(j))
        if (i, j) in is_near:
            value = max(value, alignment.correlation_unaligned(keypoints_of(i), keypoints_of(j)))
        correlation.append(value)
    return ScoredPairs(pairs, np.array(correlation, dtype=np.float64))


def similar_pairs(x: np.ndarray, hashes: np.ndarray, *, thresholds: SimilarityThresholds) -> Pairs:
    """All pairs that are near by features or by hash in any orientation; similarity is the cosine of the features."""
    by_features = radius_pairs(x, min_similarity=thresholds.min_similarity)
    signs = _signs(hashes)
    by_hash = radius_pairs(
        signs[0], others=signs[1:], min_similarity=similarity_of_distance(thresholds.max_hash_distance)
    )
    first = np.concatenate([by_features.first, by_hash.first])
    second = np.concatenate([by_features.second, by_hash.second])
    return unique_pairs(first, second, cosines(x, first, second))


def cosines(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) cosine of the rows first and second (P,) of x (N, D); 0 for a row of zeros."""
    one, other = np.asarray(x[first], dtype=np.float32), np.asarray(x[second], dtype=np.float32)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("nd,nd->n", one, other) / np.where(norms > 0, norms, 1)


def save_pairs(looked: ScoredPairs, ids: Sequence[str], path: Path) -> None:
    """Write pairs as CSV: both ids, the cosine of their features and the correlation of their pixels.

    Pairs that hardly correlate (below 0.5) are left out: they are very many, and tell nothing.
    """
    told = looked.where(looked.correlation >= _MIN_SAVED)
    values = (told.pairs.first, told.pairs.second, told.pairs.similarity, told.correlation)
    rows = zip(*(value.tolist() for value in values), strict=True)
    found = [dict(zip(_COLUMNS, (ids[i], ids[j], *rest), strict=True)) for i, j, *rest in rows]
    write_csv(path, found, columns=_COLUMNS)


def _knn_pairs(x: np.ndarray, hashes: np.ndarray, num_neighbors: int) -> np.ndarray:
    signs = _signs(hashes)
    by_hash = knn_pairs(signs[0], views=signs[1:], k=min(_NUM_HASH_NEIGHBORS, num_neighbors))
    return np.concatenate([knn_pairs(x, k=num_neighbors), by_hash])


def _signs(hashes: np.ndarray) -> list[np.ndarray]:
    return [as_signs(hashes[:, orientation]) for orientation in range(NUM_ORIENTATIONS)]
