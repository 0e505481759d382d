"""Which pairs of images may be near duplicates: features and hashes propose, the pixels decide (.verify).

Candidates are pairs that are similar by features or by perceptual hash in any orientation, and each image with its
nearest neighbors by either: a crop, a frame or a blur moves features and hash far, but seldom past other images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tandem.curation.duplicates.pairs import Pairs, is_among, unique_pairs
from tandem.curation.duplicates.search import cosines, knn_pairs, radius_pairs
from tandem.curation.settings import CurateSettings, SimilarityThresholds
from tandem.images.hashing import NUM_ORIENTATIONS, as_signs, similarity_of_distance

_NUM_HASH_NEIGHBORS = 2  # a hash that is not similar says little: only its very nearest are candidates


@dataclass(frozen=True)
class Candidates:
    """pairs: P that the pixels are to verify. is_similar: (P,) bool, False where they are nearest neighbors alone.

    same_stem: (L, 2) rows that share a stem and are similar by the looser thresholds, which is enough.
    """

    pairs: Pairs
    is_similar: np.ndarray
    same_stem: np.ndarray


def find_candidates(
    features: np.ndarray, hashes: np.ndarray, *, stems: Sequence[np.ndarray], settings: CurateSettings
) -> Candidates:
    """features: (N, D). hashes: (N, 8, 32). stems: row numbers of the images that share a stem, for each stem."""
    similar = _similar_rows(features, hashes, settings.candidates.thresholds)
    same_stem = [rows[_similar_rows(features[rows], hashes[rows], settings.same_stem)] for rows in stems]
    nearest = _nearest_rows(features, hashes, settings.candidates.num_neighbors)
    first, second = np.concatenate([similar, nearest]).T
    pairs = unique_pairs(first, second, cosines(features, first, second))
    return Candidates(
        pairs, is_among(pairs.rows, similar), np.concatenate([np.zeros((0, 2), dtype=np.int64), *same_stem])
    )


def _similar_rows(features: np.ndarray, hashes: np.ndarray, thresholds: SimilarityThresholds) -> np.ndarray:
    """(P, 2) rows of all pairs that are similar by features, or by hash in any orientation."""
    by_features = radius_pairs(features, min_similarity=thresholds.min_similarity)
    upright, *turned = _signs(hashes)
    limit = similarity_of_distance(thresholds.max_hash_distance)
    by_hash = radius_pairs(upright, variants=turned, min_similarity=limit)
    return np.unique(np.concatenate([by_features.rows, by_hash.rows]), axis=0)


def _nearest_rows(features: np.ndarray, hashes: np.ndarray, num_neighbors: int) -> np.ndarray:
    """(P, 2) rows: each image and its nearest by features, and by hash in any orientation."""
    upright, *turned = _signs(hashes)
    by_hash = knn_pairs(upright, variants=turned, k=min(_NUM_HASH_NEIGHBORS, num_neighbors))
    return np.concatenate([knn_pairs(features, k=num_neighbors), by_hash])


def _signs(hashes: np.ndarray) -> list[np.ndarray]:
    """For each orientation (N, 256) float32 of +-1, whose cosines are those of the hashes."""
    return [as_signs(hashes[:, orientation]) for orientation in range(NUM_ORIENTATIONS)]
