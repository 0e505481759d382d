"""Planted hashes and splits, recall, and what is required of a million images."""

import numpy as np
import pytest

import million
from million import Part


def test_planted_hashes_differ_by_as_many_bits_as_is_said():
    hashes, planted = million.planted_hashes(400)
    for bits, pairs in planted.items():
        assert len(pairs) == 40
        turned = hashes[pairs[:, 0], 0] ^ hashes[pairs[:, 1], 3]
        assert set(np.bitwise_count(turned).sum(axis=1).tolist()) == {bits}


def test_recall_counts_pairs_of_two_splits_alone():
    planted = {22: np.array([[0, 9], [1, 8], [2, 3]])}
    found = np.array([[0, 9], [2, 3]])
    assert million.recall_of_planted(found, planted) == {"22 bits": pytest.approx(2 / 3)}
    rows = {"train": np.arange(5), "test": np.arange(5, 10)}
    assert million.recall_of_planted(found, planted, rows) == {"22 bits": 0.5}


@pytest.mark.parametrize(("core_ms", "is_reached"), [(2.5, True), (2.6, False)])
def test_all_parts_together_are_held_against_10_000_images_with_the_rest(core_ms, is_reached):
    base = {"search by features": Part(1.0, 0.3, {})}
    last = {"search by features": Part(core_ms, 3.9, {"similar": 0.995, "22 bits": 0.91})}
    time, memory, similar, bits = million.required({10_000: base, 1_000_000: last}, rest_ms=4.0)
    assert time.is_reached == is_reached
    assert (memory.is_reached, similar.is_reached, bits.is_reached) == (True, True, False)
