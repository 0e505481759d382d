"""Stems, videos and crops link images by their provenance keys; decisions by their ids."""

import numpy as np
import pytest

from planted_images import by_id, similar_to, some_features, strangers
from tandem.curation.duplicates.pairs import Pairs
from tandem.curation.duplicates.verify import ScoredPairs
from tandem.curation.links import duplicate_links, rows_of_pairs, rows_sharing, same_scene_pairs


def test_rows_that_share_a_key_of_the_kind_are_found_once_a_key() -> None:
    keys = (("stem:a", "video:v"), ("video:v",), ("stem:a",), ("stem:b",), ("stem:a", "image:i"))
    assert [rows.tolist() for rows in rows_sharing(keys, "stem:")] == [[0, 2, 4]]
    assert [rows.tolist() for rows in rows_sharing(keys, "video:", "image:")] == [[0, 1]]


def test_the_images_of_a_scene_are_chained() -> None:
    keys = (("video:v",), ("image:i",), ("video:v",), ("video:v", "image:i"))
    assert same_scene_pairs(keys, "video:", "image:").tolist() == [[1, 3], [0, 2], [2, 3]]


def test_without_shared_keys_there_are_no_pairs() -> None:
    assert same_scene_pairs(((), ("video:v",)), "video:").shape == (0, 2)


def test_pairs_of_ids_become_sorted_rows_and_those_of_images_that_are_gone_vanish() -> None:
    pairs = {("a", "c"), ("b", "a"), ("a", "z")}
    assert rows_of_pairs(pairs, ["a", "b", "c"]).tolist() == [[0, 1], [0, 2]]
    assert rows_of_pairs(set(), ["a"]).shape == (0, 2)


def test_links_without_a_correlation_count_as_1() -> None:
    scored = ScoredPairs(Pairs(np.array([0]), np.array([3]), np.array([0.99])), np.array([0.97]))
    links = duplicate_links(scored, np.array([[1, 2]]), np.array([[4, 5], [5, 6]]))
    assert links.rows.tolist() == [[0, 3], [1, 2], [4, 5], [5, 6]]
    assert links.correlation.tolist() == [0.97, 1, 1, 1]


def test_a_stem_joins_images_that_are_similar_by_the_looser_thresholds_and_no_others() -> None:
    planted, features, stem = strangers(), some_features(500), ["stem:exports/car/image_9"]
    planted.add("a1", provenance_keys=stem, features=features, side=300)
    planted.add("a2", provenance_keys=stem, features=similar_to(features, 0.95))
    planted.add("a3", provenance_keys=stem)
    planted.add("a4", features=similar_to(features, 0.95, seed=998))
    found = by_id(curated := planted.curate())
    assert found["a2"].exclusion_reason == "duplicate of a1"
    assert [found[id_].group for id_ in ("a3", "a4")] == ["a3", "a4"]
    assert (len(curated.near_duplicates), len(curated.same_stem)) == (0, 1)


@pytest.mark.parametrize("key", ["stem:exports/truck/image_9", "stem:others/car/image_9"])
def test_a_stem_of_another_class_or_source_is_another_stem(key: str) -> None:
    planted, features = strangers(), some_features(500)
    planted.add("a1", provenance_keys=["stem:exports/car/image_9"], features=features)
    planted.add("a2", provenance_keys=[key], features=similar_to(features, 0.95))
    curated = planted.curate()
    assert by_id(curated)["a2"].group == "a2"
    assert len(curated.same_stem) == 0


@pytest.mark.parametrize("key", ["video:exports/clip", "image:exports/train/1.jpg"])
def test_frames_of_a_video_and_crops_of_an_image_share_a_split_whatever_their_pixels_say(key: str) -> None:
    planted, features = strangers(), some_features(500)
    for number, label in enumerate(["car", "truck", "car", "truck"]):
        # as similar as two images of one stem may be, which makes frames and crops no near duplicates
        x = similar_to(features, 0.95, seed=number)
        planted.add(f"a{number}", label, source="exports", provenance_keys=[key], features=x)
    frames = [by_id(planted.curate())[f"a{number}"] for number in range(4)]
    assert {frame.group for frame in frames} == {"a0"}
    assert {frame.exclusion_reason for frame in frames} == {""}
    assert len({frame.split for frame in frames}) == 1
