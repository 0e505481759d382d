"""Nearest pairs (knn_pairs of by_features.search) against all cosines by brute force in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tandem.curation.duplicates.by_features.search import knn_pairs, similar_and_nearest


def some_vectors(num_rows: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_rows, dim)).astype(np.float32)


def cosines_with_others(x: np.ndarray) -> np.ndarray:
    """(N, N) the cosine of a row with another; -inf for the row itself."""
    unit = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    return {(i, j) for i, j in pairs.tolist()}


def nearest_by_sorting(cosines: np.ndarray, k: int) -> set[tuple[int, int]]:
    order = np.argsort(-cosines, axis=1)[:, :k]
    return {(min(i, j), max(i, j)) for i, others in enumerate(order.tolist()) for j in others}


@pytest.mark.parametrize(("num_rows", "dim", "k"), [(60, 8, 3), (700, 64, 5), (300, 16, 100), (2500, 32, 1)])
def test_nearest_pairs_are_those_of_a_full_sort(num_rows: int, dim: int, k: int) -> None:
    x = some_vectors(num_rows, dim)
    found = knn_pairs(x, k=k)
    assert as_set(found) == nearest_by_sorting(cosines_with_others(x), k)
    assert found.tolist() == sorted(found.tolist())


def test_the_length_of_a_row_does_not_matter() -> None:
    x = some_vectors(80, 8)
    lengths = np.random.default_rng(1).uniform(0.1, 10, size=(80, 1)).astype(np.float32)
    assert as_set(knn_pairs(x * lengths, k=3)) == as_set(knn_pairs(x, k=3))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_of_tied_rows_k_are_taken_and_all_that_are_nearer(seed: int, k: int) -> None:
    signs = np.random.default_rng(seed).choice([-1, 1], size=(40, 8)).astype(np.float32)  # nine different cosines
    found, cosines = as_set(knn_pairs(signs, k=k)), cosines_with_others(signs).round(6)
    kth = np.sort(cosines, axis=1)[:, -k]
    assert {(i, j) for i, j in zip(*np.nonzero(cosines > kth[:, None]), strict=True) if i < j} <= found
    assert all(cosines[i, j] >= min(kth[i], kth[j]) for i, j in found)
    assert all(sum(cosines[pair] >= kth[i] for pair in found if i in pair) >= k for i in range(40))
    assert (knn_pairs(signs, k=k) == knn_pairs(signs, k=k)).all()


@pytest.mark.parametrize(("num_rows", "k", "pairs"), [(0, 3, 0), (1, 3, 0), (2, 0, 0), (2, 9, 1), (4, 9, 6)])
def test_few_rows_have_few_neighbors(num_rows: int, k: int, pairs: int) -> None:
    assert knn_pairs(some_vectors(num_rows, 5), k=k).shape == (pairs, 2)


def test_of_many_equal_rows_each_has_its_k() -> None:
    found = knn_pairs(np.ones((20, 4), dtype=np.float32), k=2)
    assert (np.bincount(found.ravel(), minlength=20) >= 2).all()


@pytest.mark.parametrize("exact_to", [0, 1000])
def test_rows_of_zeros_are_near_to_nothing(exact_to: int) -> None:
    x = some_vectors(30, 4)
    x[::3] = 0
    _, found = similar_and_nearest(x, min_similarity=1, k=29, exact_to=exact_to)
    assert as_set(found) == {(i, j) for i in range(30) for j in range(i + 1, 30) if i % 3 and j % 3}


def test_the_same_bytes_come_of_any_number_of_cores() -> None:
    x, found = 1 + 1e-3 * some_vectors(741, 333), []  # cosines that differ in their last digits alone
    for num_threads in (1, 2, 3, 7):
        with threadpool_limits(limits=num_threads):
            found.append(knn_pairs(x, k=6).tobytes())
    assert all(each == found[0] for each in found)
