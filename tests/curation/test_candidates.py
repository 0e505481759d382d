"""Which pairs are proposed, of planted features and hashes."""

from dataclasses import replace
from itertools import combinations

import numpy as np
from threadpoolctl import threadpool_limits

from planted_images import SETTINGS, similar_to, some_features, some_hashes
from tandem.curation.duplicates.by_features.search import knn_pairs
from tandem.curation.duplicates.candidates import Candidates, find_candidates
from tandem.curation.duplicates.hashes import hash_pairs

ALONE = replace(SETTINGS, candidates=replace(SETTINGS.candidates, num_neighbors=0))


NO_KEYS = np.zeros((12, 4, 100), dtype=np.uint64)  # of twelve images without keypoints


def no_keys(features: np.ndarray) -> np.ndarray:
    return np.zeros((len(features), 4, 100), dtype=np.uint64)


def planted(num_images: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Images without anything in common, but for 0 and 1, 2 and 3, 4 and 5."""
    features = np.stack([some_features(seed) for seed in range(num_images)])
    hashes = np.stack([some_hashes(seed) for seed in range(num_images)])
    features[1] = similar_to(3 * features[0], 0.995)
    hashes[3] = hashes[2][::-1]  # turned: upright, it is the other's last orientation
    features[5] = similar_to(features[4], 0.95)
    return features, hashes


def pairs_of(found: Candidates) -> set[tuple[int, int]]:
    return {(i, j) for i, j in found.pairs.rows.tolist()}


def test_pairs_that_are_similar_by_features_or_by_a_turned_hash_are_candidates() -> None:
    found = find_candidates(*planted(), NO_KEYS, stems=[], settings=ALONE)
    assert pairs_of(found) == {(0, 1), (2, 3)}
    assert found.is_similar.tolist() == [True, True]
    assert found.same_stem.shape == (0, 2)


def test_a_pair_has_the_cosine_of_its_features_whatever_proposed_it() -> None:
    features, hashes = planted()
    found = find_candidates(features, hashes, no_keys(features), stems=[], settings=ALONE)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(found.pairs.similarity, [0.995, unit[2] @ unit[3]], atol=1e-5)


def test_the_candidates_are_the_same_bytes_on_any_number_of_cores() -> None:
    rng = np.random.default_rng(0)  # few directions: many images are nearly equally near
    features = (rng.normal(size=(300, 8)) @ rng.normal(size=(8, 200)) + 1e-4 * rng.normal(size=(300, 200))).astype("f4")
    hashes = np.stack([some_hashes(seed % 100) for seed in range(300)])
    found = []
    for num_cores in (1, 2):
        with threadpool_limits(limits=num_cores):
            found.append(
                find_candidates(features, hashes, no_keys(features), stems=[np.arange(0, 300, 9)], settings=SETTINGS)
            )
    for part in (lambda each: each.pairs.rows, lambda each: each.pairs.similarity, lambda each: each.same_stem):
        assert len({part(each).tobytes() for each in found}) == 1


def test_each_image_with_its_nearest_is_a_candidate_and_not_similar_for_that() -> None:
    features, hashes = planted()
    one = replace(SETTINGS, candidates=replace(SETTINGS.candidates, num_neighbors=1))
    found = find_candidates(features, hashes, no_keys(features), stems=[], settings=one)
    similar = dict(zip(map(tuple, found.pairs.rows.tolist()), found.is_similar.tolist(), strict=True))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 2 * np.eye(12)).argmax(axis=1).tolist()
    assert {(min(i, j), max(i, j)) for i, j in enumerate(nearest)} <= similar.keys()
    assert {pair for pair, is_similar in similar.items() if is_similar} == {(0, 1), (2, 3)}
    assert not similar[4, 5]


def test_images_of_a_stem_are_held_to_the_looser_thresholds_among_themselves() -> None:
    stems = [np.array([4, 5, 6]), np.array([7, 8])]
    found = find_candidates(*planted(), NO_KEYS, stems=stems, settings=ALONE)
    assert found.same_stem.tolist() == [[4, 5]]
    assert pairs_of(found) == {(0, 1), (2, 3)}


def test_flat_images_are_not_proposed_by_their_hashes() -> None:
    features, hashes = planted()
    hashes[7:] = 0
    settings = replace(SETTINGS, candidates=replace(SETTINGS.candidates, num_neighbors=2))
    by_hash = pairs_of(find_candidates(features, hashes, no_keys(features), stems=[], settings=settings))
    by_hash -= {(i, j) for i, j in knn_pairs(features, k=2).tolist()}
    assert by_hash
    assert all(j < 7 for _, j in by_hash)


def test_by_hash_the_two_nearest_are_candidates_and_by_features_as_many_as_are_asked_for() -> None:
    features, hashes = planted(30)
    settings = replace(SETTINGS, candidates=replace(SETTINGS.candidates, num_neighbors=4))
    by_hash = hash_pairs(hashes, max_distance=0, num_neighbors=2).nearest
    nearest = [*knn_pairs(features, k=4).tolist(), *by_hash.tolist()]
    found = pairs_of(find_candidates(features, hashes, no_keys(features), stems=[], settings=settings))
    assert found == {(min(i, j), max(i, j)) for i, j in nearest} | {(0, 1), (2, 3)}


def test_images_that_share_keypoints_are_candidates_where_nearest_ones_are() -> None:
    features, hashes = planted()
    one = replace(SETTINGS, candidates=replace(SETTINGS.candidates, num_neighbors=1))
    without = pairs_of(find_candidates(features, hashes, NO_KEYS, stems=[], settings=one))
    i, j = min(set(combinations(range(12), 2)) - without)
    keys = np.random.default_rng(0).integers(1, 2**48, (12, 4, 100), dtype=np.uint64)
    keys[j, :, :5] = keys[i, :, :5]
    found = find_candidates(features, hashes, keys, stems=[], settings=one)
    assert pairs_of(found) == without | {(i, j)}
    assert not found.is_similar[found.pairs.rows.tolist().index([i, j])]
    assert pairs_of(find_candidates(features, hashes, keys, stems=[], settings=ALONE)) == {(0, 1), (2, 3)}
