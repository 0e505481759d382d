"""The search by an index as a work: its rows, its memory on the way, and what its processes must agree in."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tandem.cluster.local import LOCAL, LocalComputation, LocalExecutor
from tandem.curation.duplicates.by_features.approximate import FeatureSearch, pairs_by_index
from tandem.curation.duplicates.by_features.index import fit_centers
from tandem.curation.duplicates.by_features.rows import UnitRows
from tandem.curation.duplicates.by_features.search import knn_pairs, radius_pairs
from tandem.errors import ClusterError

LIMIT = 0.95


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features (1500, 2, 48) of 30 kinds; the last 100 are nearly the first."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 48))[rng.integers(30, size=1500)] + 0.7 * rng.normal(size=(1500, 48))
    x[-100:] = 3 * x[:100] + 0.2 * rng.normal(size=(100, 48))
    x[700] = 0
    path = tmp_path_factory.mktemp("features") / "features.npy"
    np.save(path, np.stack([x, -x], axis=1).astype(np.float32))
    return path


@pytest.fixture
def rows(path: Path) -> UnitRows:
    return UnitRows(np.load(path, mmap_mode="r")[:, 0])


def as_bytes(found) -> list[bytes]:
    return [part.tobytes() for similar, nearest in found for part in (*similar, nearest)]


def test_pairs_and_nearest_are_those_of_the_exact_search(rows: UnitRows) -> None:
    pairs, nearest = pairs_by_index(rows, limit=LIMIT, k=3, executor=LOCAL)
    exact, exact_nearest = (
        set(map(tuple, found.tolist()))
        for found in (radius_pairs(rows.vectors, min_similarity=LIMIT).rows, knn_pairs(rows.vectors, k=3))
    )
    assert {(row, 1400 + row) for row in range(100)} <= set(map(tuple, pairs.rows.tolist())) <= exact
    assert len(set(map(tuple, nearest.tolist())) & exact_nearest) >= 0.97 * len(exact_nearest)
    assert 700 not in nearest


def test_a_process_that_gets_the_work_finds_the_same_bytes_and_is_sent_no_features(rows: UnitRows) -> None:
    work = FeatureSearch(rows, fit_centers(rows), LIMIT, 3)
    sent = pickle.dumps(work)
    assert len(sent) < rows.vectors.nbytes / 4  # most of which are the centers
    there = pickle.loads(sent).start()
    here = work.start()
    assert there.made == here.made == {"features": rows.digest}
    items = range(0, 1500, 256)
    assert as_bytes(there.rows(items)) == as_bytes(here.rows(items))


def test_a_block_finds_the_same_whatever_batch_it_is_in(rows: UnitRows) -> None:
    work = FeatureSearch(rows, fit_centers(rows), LIMIT, 3)
    items, computed = range(0, 1500, 256), work.start().rows
    batches = list(work.batches(items, 3))
    assert [item for batch in batches for item in batch] == list(items)
    assert [part for batch in batches for part in as_bytes(computed(batch))] == as_bytes(computed(items))


class Elsewhere(LocalExecutor):
    """Where a work arrives as it does in another process, after something happened to the disk."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self.happens = happens

    def compute(self, work):
        sent = pickle.dumps(work)
        self.happens()
        return LocalComputation(pickle.loads(sent))


def test_other_features_in_the_file_of_a_process_are_refused(path: Path, tmp_path: Path) -> None:
    values = np.load(path)
    np.save(tmp_path / "features.npy", values)
    rows = UnitRows(np.load(tmp_path / "features.npy", mmap_mode="r")[:, 0])

    def other_version() -> None:
        values[3, 0, 5] += 1
        np.save(tmp_path / "new.npy", values)
        (tmp_path / "new.npy").replace(tmp_path / "features.npy")

    with pytest.raises(ClusterError, match="the nodes of the Ray cluster have other features than the machine where"):
        pairs_by_index(rows, limit=LIMIT, k=3, executor=Elsewhere(other_version))
    found, _ = pairs_by_index(rows, limit=LIMIT, k=3, executor=LOCAL)
    assert len(found) >= 100
