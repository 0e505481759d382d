"""Pairs of hashes in two splits by equal bits, against all distances."""

import numpy as np
import pytest

from tandem.curation.across.bit_keys import KEY_RECALL, near_hashes

ROWS = {"train": np.arange(0, 1200), "val": np.arange(1200, 1500), "test": np.arange(1500, 2000)}


def some_hashes() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(2000, 8, 32), dtype=np.uint8)


def flip(hashes: np.ndarray, num_bits: int, seed: int) -> np.ndarray:
    flips = np.zeros(256, dtype=np.uint8)
    flips[np.random.default_rng(seed).permutation(256)[:num_bits]] = 1
    return hashes ^ np.packbits(flips)


@pytest.mark.parametrize("limit", [8, 60])
def test_as_many_pairs_at_the_limit_are_found_as_is_promised_and_none_beyond(limit: int) -> None:
    hashes = some_hashes()
    for row in range(300):
        hashes[1200 + row, row % 8] = flip(hashes[row, 0], limit + row % 2, seed=row)
    pairs, distances = near_hashes(hashes, ROWS, limit)
    assert set(distances.tolist()) == {limit}
    assert {(i, j) for i, j in pairs.tolist()} <= {(row, 1200 + row) for row in range(0, 300, 2)}
    assert len(pairs) >= (KEY_RECALL - 0.06) * 150  # three standard deviations below


def test_the_upright_hash_is_of_the_earlier_split_and_pairs_inside_a_split_do_not_count() -> None:
    hashes = some_hashes()
    hashes[1300, 5] = hashes[2, 0]  # found
    hashes[3, 5] = hashes[1301, 0]  # the earlier one is turned
    hashes[5, 0] = hashes[4, 0]  # of one split
    hashes[1999, 7] = hashes[1400, 0]  # of val and test
    hashes[1600] = hashes[6, 0]  # in every orientation: one pair nevertheless
    pairs, distances = near_hashes(hashes, ROWS, 0)
    assert pairs.tolist() == [[2, 1300], [6, 1600], [1400, 1999]]
    assert distances.tolist() == [0, 0, 0]


def test_flat_images_are_near_to_nothing_and_nothing_is_near_to_no_image() -> None:
    hashes = some_hashes()
    hashes[[3, 1700]] = 0
    assert near_hashes(hashes, ROWS, 10)[0].shape == (0, 2)
    assert near_hashes(hashes, {"train": np.arange(9), "test": np.zeros(0, dtype=np.int64)}, 10)[0].shape == (0, 2)
