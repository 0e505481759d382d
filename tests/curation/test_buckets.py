"""Pairs of features in two splits by centers, against all cosines."""

import tracemalloc

import numpy as np
import pytest

from tandem.curation.across.buckets import near_cosines

DIM, LIMIT = 24, 0.95


def planted(num_rows: int = 3000) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows of 50 kinds, the last 200 nearly the first; splits at random, of which train is the largest."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(50, DIM))
    features = kinds[rng.integers(50, size=num_rows)] + 0.6 * rng.normal(size=(num_rows, DIM))
    features[-200:] = 3 * features[:200] + 0.3 * rng.normal(size=(200, DIM))
    splits = rng.choice(4, size=num_rows, p=[0.6, 0.1, 0.2, 0.1])  # the last: in none
    rows = {name: np.flatnonzero(splits == number) for number, name in enumerate(("train", "val", "test"))}
    return features.astype(np.float32), rows


def across(features: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    """(N, N) cosines of rows in two splits; -1 of others."""
    split_of = np.full(len(features), -1)
    for number, numbers in enumerate(rows.values()):
        split_of[numbers] = number
    unit = features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    is_across = (split_of[:, None] != split_of) & (split_of[:, None] >= 0) & (split_of >= 0)
    return np.where(is_across, unit @ unit.T, -1)


def test_nearly_every_pair_across_splits_is_found_with_its_cosine_and_no_other() -> None:
    features, rows = planted()
    pairs, cosines, _ = near_cosines(features, rows, LIMIT)
    expected = across(features, rows)
    wanted = {(int(i), int(j)) for i, j in np.argwhere(np.triu(expected >= LIMIT))}
    found = {(i, j) for i, j in pairs.tolist()}
    assert found <= wanted
    assert len(found) >= 0.98 * len(wanted) > 50
    np.testing.assert_allclose(cosines, expected[tuple(pairs.T)], atol=1e-12)


def test_the_highest_cosine_is_nearly_always_that_of_all_and_never_above_it() -> None:
    features, rows = planted()
    highest = near_cosines(features, rows, LIMIT)[2]
    expected = across(features, rows)[np.concatenate(list(rows.values()))].max(axis=1)
    assert (highest <= expected + 1e-6).all()
    assert np.mean(highest >= expected - 1e-6) > 0.9


def test_few_images_equal_ones_and_an_empty_split_are_no_hurdle() -> None:
    features = np.ones((5, 3), dtype=np.float32)
    rows = {"train": np.array([0, 3]), "val": np.array([], dtype=np.int64), "test": np.array([1])}
    pairs, cosines, highest = near_cosines(features, rows, 1.0)
    assert pairs.tolist() == [[0, 1], [1, 3]]
    assert cosines == pytest.approx([1, 1])
    assert highest == pytest.approx([1, 1, 1])


def test_rows_of_zeros_are_similar_to_nothing() -> None:
    features, rows = planted(300)
    features[rows["test"]] = 0
    pairs, _, highest = near_cosines(features, rows, 0.5)
    assert not np.isin(pairs, rows["test"]).any()
    assert (highest[-len(rows["test"]) :] <= 0).all()


def test_of_many_centers_the_nearest_alone_are_held() -> None:
    features = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    halves = {"train": np.arange(10_000), "test": np.arange(10_000, 20_000)}
    tracemalloc.start()
    near_cosines(features, halves, 1 - 1e-9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6  # 10 MB; with the numbers of all 282 centers of half of the images 30
