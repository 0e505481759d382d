"""Which pairs of images may be near duplicates: features, hashes and keypoints propose, the pixels decide (.verify).

Candidates are pairs that are similar by features or by perceptual hash in any orientation, and each image with its
nearest neighbors by either: a crop, a frame or a blur moves features and hash far, but seldom past other images. A
rotation can move them past, which changes keypoints little: images that share several are candidates, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor
from tandem.curation.duplicates.by_features.search import cosines, similar_and_nearest
from tandem.curation.duplicates.hashes import hash_pairs
from tandem.curation.duplicates.pairs import Pairs, is_among, unique_pairs
from tandem.curation.settings import CurateSettings, SimilarityThresholds

_NUM_HASH_NEIGHBORS = 2  # a hash that is not similar says little: only its very nearest are candidates
_NUM_SHARING = 2  # near duplicates share many keypoints, and strangers few: those that share the most are enough


@dataclass(frozen=True)
class Candidates:
    """pairs: P that the pixels are to verify. is_similar: (P,) bool, False where they are nearest neighbors alone.

    same_stem: (L, 2) rows that share a stem and are similar by the looser thresholds, which is enough.
    """

    pairs: Pairs
    is_similar: np.ndarray
    same_stem: np.ndarray


def find_candidates(
    features: np.ndarray,
    hashes: np.ndarray,
    keys: np.ndarray,
    *,
    stems: Sequence[np.ndarray],
    settings: CurateSettings,
    executor: Executor = LOCAL,
) -> Candidates:
    """features: (N, D). hashes: (N, 8, 32). keys: (N, 4, 100) of keypoints, as of keypoint_keys.

    stems: row numbers of the images that share a stem, for each stem. executor: where very many images are
    searched.
    """
    from tandem.curation.duplicates.descriptions import pairs_sharing_keypoints  # and OpenCV

    limits, k = settings.candidates.thresholds, settings.candidates.num_neighbors
    by_features, nearest_by_features = similar_and_nearest(
        features, min_similarity=limits.min_similarity, k=k, executor=executor
    )
    by_hash = hash_pairs(
        hashes,
        max_distance=limits.max_hash_distance,
        num_neighbors=min(_NUM_HASH_NEIGHBORS, k),
        executor=executor,
    )
    same_stem = [rows[_similar_rows(features[rows], hashes[rows], settings.same_stem)] for rows in stems]
    sharing = pairs_sharing_keypoints(keys, num_neighbors=min(_NUM_SHARING, k))
    return join_candidates(
        features,
        similar=(by_features.rows, by_hash.similar),
        nearest=(nearest_by_features, by_hash.nearest, sharing),
        same_stem=np.concatenate([np.zeros((0, 2), dtype=np.int64), *same_stem]),
    )


def join_candidates(
    features: np.ndarray, *, similar: Sequence[np.ndarray], nearest: Sequence[np.ndarray], same_stem: np.ndarray
) -> Candidates:
    """Of pairs that were found in several ways, each (n, 2) rows, smaller first, all once, with their cosines."""
    alike = np.unique(np.concatenate(similar), axis=0)
    first, second = np.concatenate([alike, *nearest]).T
    pairs = unique_pairs(first, second, cosines(features, first, second))
    return Candidates(pairs, is_among(pairs.rows, alike), same_stem)


def _similar_rows(features: np.ndarray, hashes: np.ndarray, thresholds: SimilarityThresholds) -> np.ndarray:
    """(P, 2) rows of all pairs that are similar by features, or by hash in any orientation."""
    by_features, _ = similar_and_nearest(features, min_similarity=thresholds.min_similarity, k=0)
    by_hash = hash_pairs(hashes, max_distance=thresholds.max_hash_distance, num_neighbors=0)
    return np.unique(np.concatenate([by_features.rows, by_hash.similar]), axis=0)
