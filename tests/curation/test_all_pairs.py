"""Similar and nearest by one product, against all cosines by brute force, where blocks are many and small."""

import numpy as np
import pytest

from tandem.curation.duplicates.by_features import rows as rows_module
from tandem.curation.duplicates.by_features.all_pairs import NearestSoFar, similar_and_nearest_of_all
from tandem.curation.duplicates.by_features.rows import UnitRows

LIMIT = 0.4


@pytest.fixture(params=[1, 7, 16, 100])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "BLOCK", request.param)


def expected(x: np.ndarray, k: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Similar pairs and nearest pairs; of equal cosines the lowest row numbers."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (x @ x.T) / np.where(norms * norms.T > 0, norms * norms.T, 1)
    is_pair = (norms > 0) & (norms.T > 0) & ~np.eye(len(x), dtype=bool)
    similar = {(i, j) for i, j in np.argwhere(is_pair & (cosines >= LIMIT)).tolist() if i < j}
    nearest = set()
    for i in range(len(x)):
        others = sorted(np.flatnonzero(is_pair[i]).tolist(), key=lambda j: (-cosines[i, j].round(5), j))
        nearest |= {(min(i, j), max(i, j)) for j in others[:k]}
    return similar, nearest


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("k", [1, 5, 40])
def test_all_similar_pairs_and_the_nearest_of_each_row_are_found(k: int) -> None:
    x = np.random.default_rng(k).normal(size=(90, 12))
    x[::9] = 0
    similar, nearest = similar_and_nearest_of_all(UnitRows(x.astype(np.float32)), LIMIT, k)
    pairs = [pair for first, second, _ in similar for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert (set(pairs), {tuple(pair) for pair in nearest.tolist()}) == expected(x, k)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("k", [1, 3])
def test_of_equal_cosines_the_lowest_rows_are_the_nearest(k: int) -> None:
    x = np.eye(4)[np.random.default_rng(0).integers(4, size=60)]  # products are 0 or 1, without rounding
    _, nearest = similar_and_nearest_of_all(UnitRows(x.astype(np.float32)), LIMIT, k)
    assert {tuple(pair) for pair in nearest.tolist()} == expected(x, k)[1]


def test_a_row_keeps_the_best_of_those_that_come_one_block_after_another() -> None:
    nearest = NearestSoFar(3, 2)
    nearest.add(1, np.array([[0.1, 0.5], [0.3, 0.3]], dtype=np.float32), 10)
    nearest.add(1, np.array([[0.2, 0.5, 0.6], [0.3, 0.2, 0.1]], dtype=np.float32), 12)
    assert nearest.pairs().tolist() == [[1, 11], [1, 14], [2, 10], [2, 11]]
