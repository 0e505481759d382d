"""The approximate index against the exact search and NumPy's cosines; the flat one is tested in test_nearest."""

import subprocess
import sys

import numpy as np
import pytest

from tandem.curation.duplicates.index import BLOCK, UnitRows, blocks_of
from tandem.curation.duplicates.pairs import Pairs
from tandem.curation.duplicates.search import knn_pairs, radius_pairs

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


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return planted()[0]


def test_nearly_every_pair_is_found_and_no_other(x: np.ndarray) -> None:
    found, exact = radius_pairs(x, min_similarity=LIMIT, exact_to=0), radius_pairs(x, min_similarity=LIMIT)
    assert as_set(found) <= as_set(exact)
    assert len(found) >= 0.99 * len(exact)
    assert planted()[1] <= as_set(found)


def test_similarities_are_the_cosines(x: np.ndarray) -> None:
    pairs = radius_pairs(x, min_similarity=LIMIT, exact_to=0)
    unit = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    assert pairs.similarity == pytest.approx((unit[pairs.first] * unit[pairs.second]).sum(axis=1), abs=1e-5)
    assert pairs.similarity.min() >= LIMIT - 1e-5


def test_the_same_rows_give_the_same_pairs(x: np.ndarray) -> None:
    one, other = (radius_pairs(x, min_similarity=LIMIT, exact_to=0) for _ in range(2))
    assert as_set(one) == as_set(other)
    assert (one.similarity == other.similarity).all()


def test_a_pair_counts_by_a_variant_too(x: np.ndarray) -> None:
    variant = np.random.default_rng(5).normal(size=x.shape).astype(np.float32)
    variant[70], variant[3000] = x[2500], 2 * x[12]
    found = as_set(radius_pairs(x, variants=[variant], min_similarity=LIMIT, exact_to=0))
    assert found - as_set(radius_pairs(x, min_similarity=LIMIT, exact_to=0)) >= {(70, 2500), (12, 3000)}


def test_rows_of_zeros_are_similar_to_nothing(x: np.ndarray) -> None:
    holed = x.copy()
    holed[:300:2] = 0
    found = as_set(radius_pairs(holed, min_similarity=LIMIT, exact_to=0))
    assert {pair for pair in planted()[1] if pair[0] % 2} == found & planted()[1]
    assert not [pair for pair in found if not holed[list(pair)].any(axis=1).all()]


def test_nearest_rows_are_nearly_those_of_the_exact_search(x: np.ndarray) -> None:
    found, exact = ({tuple(pair) for pair in knn_pairs(x, k=5, exact_to=to).tolist()} for to in (0, NUM_ROWS))
    assert len(found & exact) >= 0.98 * len(exact)
    assert planted()[1] <= found
    assert all(one < other for one, other in found)


@pytest.mark.parametrize("num_rows", [1, 2, 30])
def test_few_rows_are_no_hurdle(num_rows: int, x: np.ndarray) -> None:
    few = np.concatenate([x[:num_rows], x[:num_rows]])
    found = radius_pairs(few, min_similarity=LIMIT, exact_to=0)
    assert {(row, num_rows + row) for row in range(num_rows)} <= as_set(found)
    assert len(knn_pairs(few, k=3, exact_to=0)) >= num_rows


@pytest.mark.parametrize("call", ["knn_pairs(x, k=1)", "radius_pairs(x, min_similarity=0.9, exact_to=49)"])
def test_faiss_is_loaded_where_an_index_is_needed_alone(call: str) -> None:
    code = (
        "import sys, numpy as np; from tandem.curation.duplicates.search import knn_pairs, radius_pairs;"
        "x = np.eye(50, dtype=np.float32); radius_pairs(x, min_similarity=0.9); assert 'faiss' not in sys.modules;"
        f"{call}; assert 'faiss' in sys.modules; assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_are_scaled_to_length_1_when_they_are_read(x: np.ndarray) -> None:
    holed = np.concatenate([np.zeros((1, DIM), np.float32), x])
    rows = UnitRows(holed)
    assert (len(rows), rows.dim) == (NUM_ROWS + 1, DIM)
    assert rows.is_zero.tolist() == [True, *[False] * NUM_ROWS]
    assert np.isnan(rows[:1]).all()
    np.testing.assert_allclose(np.linalg.norm(rows[1:], axis=1), 1, atol=1e-6)
    assert np.array_equal(np.concatenate(list(rows.blocks()))[1:], rows[np.arange(1, NUM_ROWS + 1)])
    assert [block.stop - block.start for block in blocks_of(BLOCK + 1)] == [BLOCK, BLOCK]
