"""Similar pairs against all pairs by brute force in float64; nearest pairs (knn_pairs) are tested in test_nearest."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tandem.curation.duplicates.by_features import bounds, search
from tandem.curation.duplicates.by_features.rows import BLOCK, UnitRows
from tandem.curation.duplicates.by_features.search import cosines, radius_pairs
from tandem.curation.duplicates.pairs import Pairs


def all_cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """All cosines in float64; 0 for rows of zeros."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    norms = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    return np.divide(x @ y.T, norms, out=np.zeros_like(norms), where=norms > 0)


def brute(x: np.ndarray, min_similarity: float) -> dict[tuple[int, int], float]:
    cosines = all_cosines(x, x)
    close = zip(*np.nonzero(np.triu(cosines >= min_similarity, k=1)), strict=True)
    return {(int(i), int(j)): float(cosines[i, j]) for i, j in close}


def as_dict(pairs: Pairs) -> dict[tuple[int, int], float]:
    rows = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    return dict(zip(rows, pairs.similarity.tolist(), strict=True))


def clustered(num_rows: int, dim: int, *, num_clusters: int, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(num_clusters, dim))
    rows = centers[rng.integers(num_clusters, size=num_rows)] + spread * rng.normal(size=(num_rows, dim))
    return (rows * rng.uniform(0.1, 10, size=(num_rows, 1))).astype(np.float32)


@pytest.mark.parametrize("spread", [0.05, 0.3, 10.0])
@pytest.mark.parametrize("min_similarity", [0.5, 0.9, 0.99])
def test_similar_pairs_are_those_of_brute_force(spread: float, min_similarity: float) -> None:
    x = clustered(150, 12, num_clusters=20, spread=spread)
    found, expected = as_dict(radius_pairs(x, min_similarity=min_similarity)), brute(x, min_similarity)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-5)


def test_similar_pairs_are_found_across_the_borders_of_blocks() -> None:
    x = clustered(BLOCK + 300, 16, num_clusters=1500, spread=0.02)
    pairs = radius_pairs(x, min_similarity=0.99)
    assert as_dict(pairs).keys() == brute(x, 0.99).keys()
    assert ((pairs.first < BLOCK) & (pairs.second >= BLOCK)).any()
    assert (pairs.first >= BLOCK).any()


def test_a_row_of_zeros_is_similar_to_nothing() -> None:
    x = np.array([[0, 0], [0, 0], [1, 0], [2, 0]], dtype=np.float32)
    assert as_dict(radius_pairs(x, min_similarity=0.1)) == {(2, 3): 1.0}


def test_a_threshold_that_is_exactly_reached_counts_and_one_just_missed_does_not() -> None:
    x = np.array([[1, 0], [3, 4], [-5, 0]], dtype=np.float32)  # cosines 0.6, -1 and -0.6
    assert as_dict(radius_pairs(x, min_similarity=0.6)).keys() == {(0, 1)}
    assert len(radius_pairs(x, min_similarity=0.6001)) == 0


def test_a_pair_at_the_limit_counts_or_not_whatever_the_number_of_cores() -> None:
    rows = np.random.default_rng(0).normal(size=(BLOCK + 13, 517)).astype(np.float32)
    unit, products = UnitRows(rows), []
    for num_cores in (1, 2):  # which share out the product of a whole block and a small one
        with threadpool_limits(limits=num_cores):
            products.append(unit[:BLOCK] @ unit[BLOCK:].T)
    limits = np.maximum(*products)[products[0] != products[1]]
    for limit in np.sort(limits)[-3:].tolist():  # which the last bits of a pair decide; there is none on some machines
        found = []
        for num_cores in (1, 2):
            with threadpool_limits(limits=num_cores):
                found.append(as_dict(radius_pairs(rows, min_similarity=limit + search._ROUNDING)).keys())
        assert found[0] == found[1]


def test_equal_rows_are_similar_even_where_only_equal_rows_are() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1280)).astype(np.float32)
    x = np.concatenate([x, x])
    assert as_dict(radius_pairs(x, min_similarity=1.0)).keys() == {(i, i + 300) for i in range(300)}


def test_similarities_stay_within_a_cosine() -> None:
    x = np.full((50, 1000), 0.1, dtype=np.float32)
    assert radius_pairs(x, min_similarity=0.9).similarity.max() <= 1


@pytest.mark.parametrize("num_rows", [0, 1])
def test_fewer_than_two_rows_have_no_pairs(num_rows: int) -> None:
    pairs = radius_pairs(np.ones((num_rows, 3), dtype=np.float32), min_similarity=0.5)
    assert len(pairs) == 0


def test_the_order_of_the_rows_does_not_change_the_pairs() -> None:
    x = clustered(100, 8, num_clusters=30, spread=0.05)
    order = np.random.default_rng(1).permutation(100)
    turned = radius_pairs(x[order], min_similarity=0.95)
    back = {tuple(sorted((int(order[i]), int(order[j])))) for i, j in as_dict(turned)}
    assert back == as_dict(radius_pairs(x, min_similarity=0.95)).keys()


def low_rank(num_rows: int, dim: int, *, rank: int, noise: float, seed: int = 0) -> np.ndarray:
    """Rows near to a space of few dimensions, like pooled features; the first quarter lies in it wholly."""
    rng = np.random.default_rng(seed)
    rows = rng.exponential(size=(num_rows, rank)) @ rng.uniform(size=(rank, dim))
    rows[num_rows // 4 :] += noise * rng.normal(size=(num_rows - num_rows // 4, dim))
    return rows.astype(np.float32)


def holed(x: np.ndarray) -> np.ndarray:
    """Every third row is zeros, every fifth a multiple of the first."""
    x[::5] = np.arange(1, len(x[::5]) + 1)[:, None] * x[0]
    x[1::3] = 0
    return x


def at_the_limit(num_rows: int, dim: int, *, limit: float, seed: int) -> np.ndarray:
    """Rows of which a half has a cosine of limit with the first and with nothing else, outside all other rows.

    What such a pair has in common lies in one direction, so the bound of the pair is no larger than its cosine.
    """
    rng = np.random.default_rng(seed)
    rows = np.zeros((num_rows, dim))
    half = num_rows // 2
    rows[:half, 0] = limit
    rows[np.arange(half), rng.integers(1, dim // 2, size=half)] += np.sqrt(1 - limit**2)
    rows[0] = np.eye(dim)[0]
    rows[half:, dim // 2 :] = rng.normal(size=(num_rows - half, dim - dim // 2))
    return (rows * rng.uniform(0.1, 10, size=(num_rows, 1))).astype(np.float32)


KINDS = {
    "random": lambda seed, limit: clustered(90, 12, num_clusters=90, spread=1.0, seed=seed),
    "clustered": lambda seed, limit: clustered(90, 12, num_clusters=20, spread=0.2, seed=seed),
    "low rank": lambda seed, limit: low_rank(90, 24, rank=4, noise=0.1, seed=seed),
    "multiples and zeros": lambda seed, limit: holed(low_rank(90, 24, rank=4, noise=0.3, seed=seed)),
    "at the limit": lambda seed, limit: at_the_limit(90, 24, limit=limit, seed=seed),
}


@given(
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**32 - 1),
    limit=st.floats(0.05, 1),
    num_directions=st.integers(0, 30),
)
def test_the_pairs_are_those_of_brute_force_whatever_the_bound(kind, seed, limit, num_directions):
    x = KINDS[kind](seed, limit)
    found, exact = as_dict(radius_pairs(x, min_similarity=limit, num_directions=num_directions)), all_cosines(x, x)
    assert brute(x, limit + 1e-6).keys() <= found.keys()  # float32 rows lie within 1e-6 of where they were planted
    assert found == pytest.approx({pair: exact[pair] for pair in found}, abs=1e-5)
    assert min(found.values(), default=1) >= np.float32(limit - 1e-5)


@pytest.mark.parametrize("num_directions", [0, 1, 2, 5, 24])
def test_pairs_at_the_limit_are_not_lost_to_the_bound(num_directions: int) -> None:
    x = at_the_limit(2 * BLOCK + 20, 24, limit=0.9, seed=0)
    pairs = radius_pairs(x, min_similarity=0.9, num_directions=num_directions)
    planted = {(0, row) for row in range(1, len(x) // 2)}
    assert planted <= as_dict(pairs).keys()


@pytest.mark.parametrize("more", [-1, 0, 700])
def test_equal_rows_are_found_on_both_sides_of_where_the_bound_begins(more: int) -> None:
    num_rows = bounds._BOUND_FROM + more
    x = low_rank(num_rows, 128, rank=10, noise=0.5)
    x[num_rows - 1], x[9000] = 2 * x[3], x[8000] + 0.01 * x[8001]
    x[5000:5010] = 0
    assert (bounds.cheapest_basis(UnitRows(x), 0.9999).shape[1] > 0) == (more >= 0)
    bounded, plain = (radius_pairs(x, min_similarity=0.9999, num_directions=size) for size in (None, 0))
    assert {(3, num_rows - 1), (8000, 9000)} <= as_dict(bounded).keys()
    assert as_dict(bounded).keys() == as_dict(plain).keys()
    assert as_dict(bounded) == pytest.approx(as_dict(plain), abs=1e-5)


@pytest.mark.parametrize("num_directions", [0, 2])
def test_rows_of_zeros_are_similar_to_nothing_however_low_the_limit(num_directions: int) -> None:
    x = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]], dtype=np.float32)
    assert as_dict(radius_pairs(x, min_similarity=-1, num_directions=num_directions)).keys() == {(1, 3)}


def test_a_memory_map_is_not_copied(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40_000, 512), dtype=np.float32)
    x[39_999] = x[17]
    np.save(tmp_path / "rows.npy", x)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    tracemalloc.start()
    pairs = radius_pairs(mapped, min_similarity=0.9999, num_directions=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert as_dict(pairs).keys() == {(17, 39_999)}
    assert peak < x.nbytes / 2


def test_cosines_of_pairs_are_those_of_brute_force_and_0_for_a_row_of_zeros() -> None:
    x = clustered(20, 8, num_clusters=20, spread=1.0)
    x[3] = 0
    first, second = (np.array(rows) for rows in zip(*[(0, 1), (5, 2), (3, 7), (3, 3)], strict=True))
    np.testing.assert_allclose(cosines(x, first, second), all_cosines(x, x)[first, second], atol=1e-6)
