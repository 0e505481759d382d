"""Samples of bits: how many are needed, and which hashes share them."""

import numpy as np
import pytest

from tandem.curation.duplicates import bit_samples
from tandem.curation.duplicates.bit_samples import (
    bits_a_sample,
    found_by_one,
    near_in_samples,
    samples_needed,
    samples_of_bits,
)


@pytest.mark.parametrize(("num_rows", "bits"), [(2, 8), (256, 8), (257, 9), (1_000_000, 20), (2**30, 24)])
def test_strangers_share_a_sample_about_once(num_rows: int, bits: int) -> None:
    assert bits_a_sample(num_rows) == bits


@pytest.mark.parametrize("distance", [0, 22, 60, 127])
def test_the_probability_is_that_of_drawing_bits_without_the_flipped_ones(distance: int) -> None:
    rng = np.random.default_rng(0)
    drawn = [(rng.permutation(256)[: bits_a_sample(1000)] >= distance).all() for _ in range(4000)]
    assert found_by_one(1000, distance) == pytest.approx(np.mean(drawn), abs=0.03)


@pytest.mark.parametrize("distance", [0, 4, 40, 60])
def test_so_many_samples_as_are_needed_and_no_fewer_reach_the_recall(distance: int) -> None:
    num = samples_needed(100_000, distance, recall=0.95)
    missed = 1 - found_by_one(100_000, distance)
    assert missed**num <= 0.05 + 1e-9
    assert num == 1 or missed ** (num - 1) > 0.05


def test_the_pairs_of_a_sample_are_those_with_its_bits_however_they_are_split_up(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(256, size=(700, 8, 32), dtype=np.uint8)
    words, usable = hashes.view(np.uint64), rng.random((700, 8)) < 0.9
    samples = samples_of_bits(700, 2)
    whole = [as_set(found) for found in near_in_samples(words, usable, samples, limit=110)]
    bits = np.unpackbits(hashes, axis=2)
    distance = (bits[:, :, None] != bits[None, None, :, 0]).sum(axis=3)
    distance[~(usable[:, :, None] & usable[:, 0])] = 256
    least = np.minimum(distance.min(axis=1), distance.min(axis=1).T)
    for sample, found in zip(samples, whole, strict=True):
        shared = (bits[:, :, None, sample] == bits[None, None, :, 0, sample]).all(axis=3)
        rows, others = np.nonzero((shared & (distance <= 110 + 8)).any(axis=1) & (least <= 110))
        expected = zip(rows.tolist(), others.tolist(), least[rows, others].tolist(), strict=True)
        assert found == {(row, other, bits) for row, other, bits in expected if other < row}
        assert len(found) > 20
    monkeypatch.setattr(bit_samples, "_MAX_PAIRS", 50)
    monkeypatch.setattr(bit_samples, "_BLOCK", 64)
    assert [as_set(found) for found in near_in_samples(words, usable, samples, limit=110)] == whole


def as_set(found) -> set[tuple[int, int, int]]:
    return set(zip(*(part.tolist() for part in found), strict=True))
