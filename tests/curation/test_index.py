"""The approximate index against the exact search and NumPy's cosines; the flat one is tested in test_nearest."""

import subprocess
import sys

import numpy as np
import pytest

from tandem.curation.duplicates.by_features import index
from tandem.curation.duplicates.by_features.index import AnnIndex, fit_centers
from tandem.curation.duplicates.by_features.rows import UnitRows
from tandem.curation.duplicates.by_features.search import knn_pairs, radius_pairs, similar_and_nearest
from tandem.curation.duplicates.pairs import Pairs

NUM_ROWS, DIM, LIMIT = 4000, 32, 0.95


def planted(seed: int = 0) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Rows of 60 kinds, each of the last 300 nearly one of the first, and those pairs."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(60, DIM))
    x = kinds[rng.integers(60, size=NUM_ROWS)] + 0.7 * rng.normal(size=(NUM_ROWS, DIM))
    x[-300:] = 3 * x[:300] + 0.3 * rng.normal(size=(300, DIM))
    return x.astype(np.float32), {(row, NUM_ROWS - 300 + row) for row in range(300)}


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def similar(x: np.ndarray) -> Pairs:
    """By the approximate index."""
    return similar_and_nearest(x, min_similarity=LIMIT, k=0, exact_to=0)[0]


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return planted()[0]


def test_nearly_every_pair_is_found_and_no_other(x: np.ndarray) -> None:
    found, exact = similar(x), radius_pairs(x, min_similarity=LIMIT)
    assert as_set(found) <= as_set(exact)
    assert len(found) >= 0.99 * len(exact)
    assert planted()[1] <= as_set(found)


def test_similarities_are_the_cosines(x: np.ndarray) -> None:
    pairs = similar(x)
    unit = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    assert pairs.similarity == pytest.approx((unit[pairs.first] * unit[pairs.second]).sum(axis=1), abs=1e-5)
    assert pairs.similarity.min() >= LIMIT - 1e-5


def test_the_same_rows_give_the_same_pairs(x: np.ndarray) -> None:
    one, other = (similar(x) for _ in range(2))
    assert as_set(one) == as_set(other)
    assert (one.similarity == other.similarity).all()


def test_of_long_rows_few_columns_are_held_and_the_pairs_are_those_of_the_exact_search() -> None:
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(3000, 40)) @ rng.normal(size=(40, 1024)) + 0.5 * rng.normal(size=(3000, 1024))).astype("f4")
    x[2900:] = 2 * x[:100] + 0.3 * rng.normal(size=(100, 1024))
    found, nearest = similar_and_nearest(x, min_similarity=0.9, k=2, exact_to=0)
    assert AnnIndex(UnitRows(x), fit_centers(UnitRows(x)))._index.d == 256
    assert as_set(found) == as_set(radius_pairs(x, min_similarity=0.9)) == {(row, 2900 + row) for row in range(100)}
    exact = {tuple(pair) for pair in knn_pairs(x, k=2).tolist()}
    assert len({tuple(pair) for pair in nearest.tolist()} & exact) >= 0.85 * len(exact)  # rows that do not cluster


def test_columns_are_filled_up_to_what_the_processor_takes_at_once_and_change_nothing(x: np.ndarray) -> None:
    narrow = np.ascontiguousarray(x[:, : DIM - 3])
    assert AnnIndex(UnitRows(narrow), fit_centers(UnitRows(narrow)))._index.d % 16 == 0
    assert as_set(similar(narrow)) == as_set(radius_pairs(narrow, min_similarity=LIMIT))


def test_a_row_with_more_similar_ones_than_are_asked_for_has_all_of_them(x: np.ndarray) -> None:
    many = np.concatenate([x, x[7] + 0.01 * np.random.default_rng(2).normal(size=(200, DIM)).astype(np.float32)])
    found = as_set(similar(many))
    equal = [7, *range(NUM_ROWS, NUM_ROWS + 200)]
    assert {(i, j) for i in equal for j in equal if i < j} <= found


def test_rows_of_zeros_are_similar_to_nothing(x: np.ndarray) -> None:
    holed = x.copy()
    holed[:300:2] = 0
    found = as_set(similar(holed))
    assert {pair for pair in planted()[1] if pair[0] % 2} == found & planted()[1]
    assert not [pair for pair in found if not holed[list(pair)].any(axis=1).all()]


def test_nearest_rows_are_nearly_those_of_the_exact_search(x: np.ndarray) -> None:
    by_index = similar_and_nearest(x, min_similarity=LIMIT, k=5, exact_to=0)[1]
    found, exact = ({tuple(pair) for pair in pairs.tolist()} for pairs in (by_index, knn_pairs(x, k=5)))
    assert len(found & exact) >= 0.98 * len(exact)
    assert planted()[1] <= found
    assert all(one < other for one, other in found)


@pytest.mark.parametrize("num_rows", [1, 2, 30])
def test_few_rows_are_no_hurdle(num_rows: int, x: np.ndarray) -> None:
    few = np.concatenate([x[:num_rows], x[:num_rows]])
    found, nearest = similar_and_nearest(few, min_similarity=LIMIT, k=3, exact_to=0)
    assert {(row, num_rows + row) for row in range(num_rows)} <= as_set(found)
    assert len(nearest) >= num_rows


def test_up_to_the_bound_all_are_compared_and_beyond_it_the_index_is_asked(
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_LISTS_SEARCHED", 1)  # which misses some
    exact = knn_pairs(x, k=3)
    assert np.array_equal(similar_and_nearest(x, min_similarity=LIMIT, k=3, exact_to=NUM_ROWS)[1], exact)
    assert not np.array_equal(similar_and_nearest(x, min_similarity=LIMIT, k=3, exact_to=NUM_ROWS - 1)[1], exact)


def test_faiss_is_loaded_where_an_index_is_needed_alone() -> None:
    code = (
        "import sys, numpy as np;"
        "from tandem.curation.duplicates.by_features.search import knn_pairs, radius_pairs, similar_and_nearest;"
        "x = np.eye(50, dtype=np.float32); radius_pairs(x, min_similarity=0.9); knn_pairs(x, k=1);"
        "assert 'faiss' not in sys.modules; similar_and_nearest(x, min_similarity=0.9, k=1, exact_to=49);"
        "assert 'faiss' in sys.modules; assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
