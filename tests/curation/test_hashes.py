"""Pairs by hashes: exact against all distances, and beyond the bound against the exact ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.cluster.local import LocalComputation, LocalExecutor
from tandem.cluster.work import Work
from tandem.curation.duplicates import hashes as searched
from tandem.curation.duplicates.hashes import HashPairs, hash_pairs
from tandem.images.hashing import as_signs, in_orientations


def some_hashes(num_images: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(num_images, 8, 32), dtype=np.uint8)


def distances(hashes: np.ndarray) -> np.ndarray:
    """(N, N) the least bits that differ of an upright hash (column) and any orientation of another (row); 999: none."""
    signs = [as_signs(hashes[:, orientation]) for orientation in range(8)]
    found = [
        np.where(each.any(axis=1)[:, None] & signs[0].any(axis=1), (256 - each @ signs[0].T) / 2, 999) for each in signs
    ]
    least = np.min(found, axis=0)
    np.fill_diagonal(least, 999)
    return least


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    assert pairs.tolist() == sorted(pairs.tolist())
    return {(i, j) for i, j in pairs.tolist()}


def brute(hashes: np.ndarray, max_distance: int) -> set[tuple[int, int]]:
    least = distances(hashes)
    return {(int(i), int(j)) for i, j in np.argwhere(np.triu(np.minimum(least, least.T) <= max_distance))}


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), num_images=st.integers(1, 25), limit=st.integers(0, 127))
def test_similar_pairs_are_those_of_all_distances(seed: int, num_images: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = some_hashes(num_images, seed)
    hashes[rng.random((num_images, 8)) < 0.2] = 0  # flat
    hashes[:: rng.integers(1, 9)] = hashes[0]
    assert as_set(hash_pairs(hashes, max_distance=limit, num_neighbors=0).similar) == brute(hashes, limit)


def test_nearest_are_those_of_a_full_sort_and_of_equally_near_ones_the_first() -> None:
    hashes = some_hashes(300)
    least = distances(hashes)
    order = np.argsort(least, axis=1, kind="stable")[:, :2]
    kth = np.take_along_axis(least, order[:, 1:], axis=1)
    nearest = as_set(hash_pairs(hashes, max_distance=0, num_neighbors=2).nearest)
    assert {(min(i, j), max(i, j)) for i, j in np.argwhere(least < kth).tolist()} <= nearest
    assert all(least[i, j] <= kth[i, 0] or least[j, i] <= kth[j, 0] for i, j in nearest)
    equal = np.repeat(hashes[:1, :1], 8, axis=1).repeat(6, axis=0)
    assert as_set(hash_pairs(equal, max_distance=0, num_neighbors=1).nearest) == {(0, row) for row in range(1, 6)}


def test_flat_images_are_near_to_nothing_and_take_the_place_of_what_is_farther_than_they() -> None:
    hashes = some_hashes(4)
    hashes[2:] = 0
    hashes[1] = ~hashes[0, :1]  # 256 bits
    hashes[0] = hashes[0, :1]
    found = hash_pairs(hashes, max_distance=127, num_neighbors=2)
    assert (len(found.similar), len(found.nearest)) == (0, 0)


@pytest.mark.parametrize("num_images", [0, 1])
def test_fewer_than_two_images_have_no_pairs(num_images: int) -> None:
    for exact_to in (0, 9):
        found = hash_pairs(some_hashes(num_images), max_distance=60, num_neighbors=2, exact_to=exact_to)
        assert (found.similar.shape, found.nearest.shape) == ((0, 2), (0, 2))


def planted(num_images: int, distance: int, num_planted: int) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Of each pair one is the other turned or mirrored, with so many bits flipped; then all orientations."""
    hashes, rng = some_hashes(num_images), np.random.default_rng(7)
    for row in range(num_planted):
        one = rng.choice([-1.0, 1.0], size=(16, 16))
        other = in_orientations(one)[row % 8]
        other.ravel()[rng.permutation(256)[:distance]] *= -1
        for at, signs in ((row, one), (num_planted + row, other)):
            hashes[at] = np.packbits(in_orientations(signs).reshape(8, 256) > 0, axis=1)
    return hashes, {(row, num_planted + row) for row in range(num_planted)}


def beyond(hashes: np.ndarray, max_distance: int, num_neighbors: int = 0) -> HashPairs:
    return hash_pairs(hashes, max_distance=max_distance, num_neighbors=num_neighbors, exact_to=len(hashes) - 1)


@pytest.mark.parametrize("distance", [4, 60])
def test_beyond_the_bound_as_many_pairs_at_the_limit_are_found_as_is_promised_and_no_other(distance: int) -> None:
    hashes, pairs = planted(3000, distance, 400)
    found = as_set(beyond(hashes, distance).similar)
    assert found <= pairs
    assert len(found) >= (searched.RECALL - 0.04) * len(pairs)


def test_beyond_the_bound_the_nearest_within_reach_are_found() -> None:
    hashes, pairs = planted(2000, searched.NEAREST_SURE, 300)
    found = as_set(beyond(hashes, 0, num_neighbors=1).nearest)
    assert len(found & pairs) >= (searched.RECALL - 0.04) * len(pairs)
    assert found <= as_set(hash_pairs(hashes, max_distance=0, num_neighbors=1).nearest)
    assert beyond(hashes, 0).nearest.shape == (0, 2)


def test_of_many_equal_hashes_all_pairs_are_similar_and_each_has_its_nearest() -> None:
    hashes = np.concatenate([np.repeat(some_hashes(1), 40, axis=0), some_hashes(100, seed=1)])
    found = beyond(hashes, 10, num_neighbors=2)
    assert as_set(found.similar) == {(i, j) for i in range(40) for j in range(i + 1, 40)}
    assert (np.bincount(found.nearest.ravel(), minlength=40)[:40] >= 2).all()


class OneByOne(LocalExecutor):
    """Each batch by a computation of its own, as on the nodes of a cluster."""

    def compute(self, work: Work) -> Any:
        return BatchByBatch(work)


class BatchByBatch(LocalComputation):
    def rows(self, items: Sequence) -> Iterator:
        for batch in self.work.batches(items, 40):
            yield from LocalComputation(self.work).rows(batch)


def test_beyond_the_bound_pairs_do_not_depend_on_who_searches_which_tables() -> None:
    hashes, _ = planted(300, 40, 60)
    hashes[250:] = hashes[200:250]  # equally near ones
    here, there = (
        hash_pairs(hashes, max_distance=60, num_neighbors=2, exact_to=10, executor=executor)
        for executor in (LocalExecutor(), OneByOne())
    )
    assert np.array_equal(here.similar, there.similar)
    assert np.array_equal(here.nearest, there.nearest)
    assert len(here.nearest) > 100
