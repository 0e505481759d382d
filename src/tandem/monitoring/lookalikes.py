"""Which new images are near duplicates of one another or of images that the project has, as `curate` finds them.

Features, hashes and keypoints propose pairs, and their pixels decide (tandem.curation.duplicates).
"""

from collections.abc import Callable, Sequence

import numpy as np

from tandem.curation.duplicates.alignment import Keypoints
from tandem.curation.duplicates.candidates import Candidates, find_candidates
from tandem.curation.duplicates.descriptions import keypoint_keys
from tandem.curation.duplicates.verify import verify_candidates
from tandem.curation.groups import connected_components
from tandem.curation.links import rows_sharing, same_scene_pairs
from tandem.curation.settings import CurateSettings


def new_near_duplicates(
    features: np.ndarray,
    hashes: np.ndarray,
    sha256: Sequence[str],
    provenance_keys: Sequence[Sequence[str]],
    *,
    settings: CurateSettings,
    keypoints_of: Callable[[int], Keypoints],
    max_gb: float,
) -> np.ndarray:
    """(L, 2) pairs of rows, the smaller first, that are near duplicates and of which one at least is new.

    features: (K + N, D), hashes: (K + N, 8, 32), sha256: K + N, of the K images that the project has and of N new ones
    after them. provenance_keys: N, of the new ones. keypoints_of: row -> Keypoints. max_gb: see verify_candidates.
    """
    num_known = len(sha256) - len(provenance_keys)
    stems = [rows + num_known for rows in rows_sharing(provenance_keys, "stem:")]
    keys = keypoint_keys(keypoints_of, sha256, max_gb=max_gb)
    found = find_candidates(features, hashes, keys, stems=stems, settings=settings)
    is_new = found.pairs.second >= num_known
    asked = Candidates(found.pairs.where(is_new), found.is_similar[is_new], found.same_stem)
    scored = verify_candidates(asked, keypoints_of, sha256, max_gb=max_gb)
    near_duplicates = scored.where(scored.correlation >= settings.min_correlation).pairs.rows
    return np.unique(np.concatenate([near_duplicates, asked.same_stem]), axis=0)


def groups_of_new(
    ids: Sequence[str], provenance_keys: Sequence[Sequence[str]], near_duplicates: np.ndarray
) -> np.ndarray:
    """(N,) a number for each new image, equal for those that belong together as in a group of `curate`.

    That is: near duplicates, the same pixels, frames of one video. near_duplicates: (L, 2) pairs of rows.
    """
    keys = [(*of_image, f"image:{id_}") for of_image, id_ in zip(provenance_keys, ids, strict=True)]
    return connected_components(len(ids), np.concatenate([near_duplicates, same_scene_pairs(keys, "video:", "image:")]))
