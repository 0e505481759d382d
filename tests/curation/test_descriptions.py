"""Images that share keypoints, of synthetic images and their changed versions, and of planted keys."""

from itertools import combinations, islice

import numpy as np
import pytest
from PIL import Image, ImageOps
from threadpoolctl import threadpool_limits

from planted_images import textured_image
from tandem.cache.store import CACHE_DIR
from tandem.curation.duplicates import descriptions
from tandem.curation.duplicates.alignment import describe
from tandem.curation.duplicates.descriptions import MIN_SHARED, keypoint_keys, pairs_sharing_keypoints

TURNS = {
    "25 degrees": lambda image: image.rotate(25, Image.Resampling.BICUBIC),
    "45 degrees": lambda image: image.rotate(-45, Image.Resampling.BICUBIC, expand=True),
    "mirrored, 25 degrees": lambda image: ImageOps.mirror(image).rotate(25, Image.Resampling.BICUBIC),
    "upside down": ImageOps.flip,
    "cropped, 15 degrees": lambda image: image.crop((20, 10, 190, 140)).rotate(15, Image.Resampling.BICUBIC),
}


def keys_of(images):
    keypoints = [describe(image) for image in images]
    return keypoint_keys(keypoints.__getitem__, [str(row) for row in range(len(images))], max_gb=0)


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_turned_image_and_its_original_share_the_most(turn):
    originals = [textured_image(seed) for seed in range(20)]
    keys = keys_of([*originals, turn(originals[3]), turn(originals[7])])
    found = pairs_sharing_keypoints(keys, num_neighbors=1).tolist()
    assert [3, 20] in found
    assert [7, 21] in found
    assert len(found) <= 22  # each image with one other at most


def test_a_descriptor_and_its_mirror_image_have_the_same_keys():
    image = textured_image(1)
    one, mirrored = (
        {tuple(key) for key in keys.T.tolist() if any(key)} for keys in keys_of([image, ImageOps.mirror(image)])
    )
    assert len(one & mirrored) > len(one) / 4


def test_keys_are_the_same_bytes_on_any_number_of_cores_and_from_the_store(tmp_path, monkeypatch):
    found = []
    for num_cores in (1, 2):
        with threadpool_limits(limits=num_cores):
            found.append(keys_of([textured_image(1), textured_image(2)]).tobytes())
    monkeypatch.setenv(CACHE_DIR, str(tmp_path))
    keypoints = [describe(textured_image(seed)) for seed in (1, 2)]
    for _ in range(2):
        found.append(keypoint_keys(lambda row: keypoints.pop(0), ["a", "b"], max_gb=1).tobytes())
    assert len(set(found)) == 1


def test_an_image_without_keypoints_has_no_keys_and_shares_nothing():
    flat = Image.new("RGB", (60, 40), "gray")
    keys = keys_of([flat, flat])
    assert not keys.any()
    assert pairs_sharing_keypoints(keys, num_neighbors=2).shape == (0, 2)
    assert pairs_sharing_keypoints(keys[:0], num_neighbors=2).shape == (0, 2)


def planted(shared, num_rows=12):
    """Random keys; of each pair of rows so many are equal, each with keys of its own."""
    keys = np.random.default_rng(0).integers(1, 2**48, (num_rows, 4, 100), dtype=np.uint64)
    places = iter(np.ndindex(4, 100))
    for (i, j), number in shared.items():
        for at in islice(places, number):
            keys[j][at] = keys[i][at]
    return keys


def test_pairs_share_as_many_keys_as_it_takes():
    keys = planted({(0, 5): MIN_SHARED, (1, 6): MIN_SHARED - 1, (2, 7): 50})
    assert pairs_sharing_keypoints(keys, num_neighbors=2).tolist() == [[0, 5], [2, 7]]


def test_of_many_that_share_keys_those_that_share_the_most_are_paired():
    keys = planted({(0, 11): 10, (1, 11): 30, (2, 11): 20, (3, 11): 20})
    assert pairs_sharing_keypoints(keys, num_neighbors=2).tolist() == [[0, 11], [1, 11], [2, 11], [3, 11]]
    keys = planted({(0, 8): 10, (0, 9): 30, (0, 10): 20, (1, 8): 40, (2, 9): 40, (3, 10): 40})
    assert pairs_sharing_keypoints(keys, num_neighbors=1).tolist() == [[0, 9], [1, 8], [2, 9], [3, 10]]


def test_a_key_that_very_many_share_pairs_each_with_few():
    keys = np.random.default_rng(0).integers(1, 2**48, (300, 4, 100), dtype=np.uint64)
    keys[:, :, :3] = 7
    found = pairs_sharing_keypoints(keys, num_neighbors=100)
    assert len(found) < 300 * 8
    assert {(i, i + 1) for i in range(299)} <= set(map(tuple, found.tolist()))


def test_few_images_with_one_key_are_all_paired():
    keys = np.random.default_rng(0).integers(1, 2**48, (20, 4, 100), dtype=np.uint64)
    keys[5:9, :, :3] = keys[5, :, :3]
    assert pairs_sharing_keypoints(keys, num_neighbors=3).tolist() == [
        list(pair) for pair in combinations(range(5, 9), 2)
    ]


def test_of_more_images_more_of_a_key_is_compared(monkeypatch):
    keys = planted({(0, 5): 50})
    keys[5] ^= np.uint64(2**35)
    assert pairs_sharing_keypoints(keys, num_neighbors=2).tolist() == [[0, 5]]
    monkeypatch.setattr(descriptions, "_BITS_TO", 3)  # so that twelve are four times as many: three bits more
    assert pairs_sharing_keypoints(keys, num_neighbors=2).tolist() == []


def votes_by_brute_force(keys):
    """Of all pairs of rows, as Python's own sets count them; no key is in more than nine images."""
    return {
        (i, j): sum(key in set(keys[j, at].tolist()) for at in range(4) for key in keys[i, at].tolist())
        for i, j in combinations(range(len(keys)), 2)
    }


@pytest.mark.parametrize(("owners", "rows_a_block", "counters"), [(10, 7, 1024), (1000, 5, 2), (3, 100, 1)])
def test_however_they_are_counted_the_votes_are_those_of_all_pairs(monkeypatch, owners, rows_a_block, counters):
    rng, places = np.random.default_rng(1), list(np.ndindex(4, 100))
    keys = rng.integers(1, 2**34, (40, 4, 100), dtype=np.uint64)
    for _ in range(80):
        i, j = rng.choice(40, 2, replace=False)
        for at in rng.permutation(400)[: rng.integers(1, 30)]:
            keys[j][places[at]] = keys[i][places[at]]
    keys[7] = keys[31]  # all 400
    keys[:, :, 90:] = 0  # of which there are none
    expected = sorted(pair for pair, votes in votes_by_brute_force(keys[:, :, :90]).items() if votes >= MIN_SHARED)
    for name, value in (("_OWNERS", owners), ("_ROWS_A_BLOCK", rows_a_block), ("_COUNTERS", counters)):
        monkeypatch.setattr(descriptions, name, value)
    assert len(expected) > 20
    assert pairs_sharing_keypoints(keys, num_neighbors=40).tolist() == [list(pair) for pair in expected]


def test_keys_that_have_no_room_beside_a_row_are_compared_in_parts(monkeypatch):
    keys = planted({(0, 5): MIN_SHARED, (1, 6): MIN_SHARED - 1, (2, 7): 50}, num_rows=12)
    monkeypatch.setattr(descriptions, "_BITS_TO", 12 / 2**9)  # so that 48 bits are compared
    whole = pairs_sharing_keypoints(keys, num_neighbors=2)
    monkeypatch.setattr(descriptions, "_WORD_BITS", 50)  # of which a row takes four: four parts
    assert pairs_sharing_keypoints(keys, num_neighbors=2).tolist() == whole.tolist() == [[0, 5], [2, 7]]
