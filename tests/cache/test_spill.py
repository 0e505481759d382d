"""An array on disk is that in memory, goes with it, and a disk that is full is an error."""

import errno
import resource
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tandem.cache import spill
from tandem.cache.spill import SpilledArray
from tandem.cache.store import CACHE_DIR

VALUES = np.random.default_rng(0).integers(2**63, size=(50, 4, 100), dtype=np.uint64)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def spilling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "_MAX_HELD_BYTES", 1000)


@pytest.fixture
def small_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def put_in_two_parts(values: np.ndarray) -> np.ndarray:
    odd, even = range(1, len(values), 2), range(0, len(values), 2)
    with closing(SpilledArray(len(values), values.shape[1:], values.dtype.str)) as array:
        array.put(odd, values[odd])
        array.put(even, values[even].reshape(len(even), -1))  # as a store has them
        return array.filled()


def test_rows_that_come_in_any_order_are_the_array() -> None:
    filled = put_in_two_parts(VALUES)
    assert not isinstance(filled, np.memmap)
    np.testing.assert_array_equal(filled, VALUES)


def test_of_many_bytes_they_are_on_disk_and_leave_no_file(spilling, cache: Path) -> None:
    filled = put_in_two_parts(VALUES)
    assert isinstance(filled, np.memmap)
    assert filled.shape == VALUES.shape
    np.testing.assert_array_equal(filled, VALUES)
    assert list(cache.rglob("*")) == [cache / "computed"]


def test_where_the_folder_of_the_stores_cannot_be_made_that_of_the_system_is_taken(spilling, cache: Path) -> None:
    cache.write_text("a file in its place", encoding="utf-8")
    np.testing.assert_array_equal(put_in_two_parts(VALUES), VALUES)


def test_a_full_disk_is_an_error(spilling, small_disk) -> None:
    with pytest.raises(OSError, match="too large") as raised:
        put_in_two_parts(VALUES)
    assert raised.value.errno == errno.EFBIG
