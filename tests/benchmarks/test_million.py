"""Planted hashes and keys, recall, and what is required of a million images."""

import numpy as np
import pytest

import million
import million_images
from million import Part


def test_planted_hashes_differ_by_as_many_bits_as_is_said_from_either_side():
    hashes, planted = million_images.planted_hashes(400)
    for bits, pairs in planted.items():
        assert len(pairs) == 40
        for one, other in (pairs.T, pairs.T[::-1]):
            turned = hashes[one, 0][:, None] ^ hashes[other]
            assert set(np.bitwise_count(turned).sum(axis=2).min(axis=1).tolist()) == {bits}


def test_planted_keys_are_shared_as_often_as_is_said_and_are_the_same_each_time(tmp_path):
    for name in ("one.npy", "other.npy"):
        million_images.write_keys(tmp_path / name, 700)
    keys, again = (np.load(tmp_path / name) for name in ("one.npy", "other.npy"))
    np.testing.assert_array_equal(keys, again)
    assert keys.shape == (700, 4, 100)
    assert len(np.unique(keys >> np.uint64(40))) == 2**8  # all bits of 48 are used
    np.save(tmp_path / "features.npy", np.zeros((700, 2), dtype=np.float32))
    images = million_images.load_generated(tmp_path / "features.npy", tmp_path / "one.npy", 700)
    assert images.planted_keys.keys() == {12, 24, 48}
    for shared, pairs in images.planted_keys.items():
        equal = (images.keys[pairs[:, 0]] == images.keys[pairs[:, 1]]).sum(axis=(1, 2))
        assert equal.min() >= shared - 1  # of two planted in one place of an image the last one stays
        assert np.median(equal) == shared


def test_recall_is_the_share_of_planted_pairs_in_either_order():
    planted = {22: np.array([[0, 9], [8, 1], [2, 3]])}
    assert million.recall_of_planted(np.array([[0, 9], [1, 8]]), planted, "bits") == {"22 bits": pytest.approx(2 / 3)}


@pytest.mark.parametrize(("core_ms", "is_reached"), [(4.8, True), (4.9, False)])
def test_all_parts_together_are_held_against_10_000_images_with_the_rest(core_ms, is_reached):
    base = {"search by features": Part(1.0, 0.3, {})}
    last = {"search by features": Part(core_ms, 3.9, {"similar": 0.995, "22 bits": 0.93, "12 keys": 0.98})}
    time, same_rest, memory, *recalls = million.required({10_000: base, 1_000_000: last}, (4.0, 1.7))
    assert time.is_reached == is_reached  # of 1.3 * (4.0 + 1.0) - 1.7 = 4.8
    assert same_rest.value == pytest.approx((core_ms + 1.7) / 2.7)
    assert memory.is_reached
    assert [figure.is_reached for figure in recalls] == [True, True, False]
