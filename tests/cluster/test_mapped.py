"""Arrays that are pickled as their place in a file."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tandem.cluster.mapped import MappedArray
from tandem.errors import ClusterError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(5000, 2, 32)).astype(np.float32))
    return tmp_path / "rows.npy"


def received(array: np.ndarray) -> tuple[np.ndarray, int]:
    """As another process has it, and the bytes that it was sent."""
    sent = pickle.dumps(MappedArray(array))
    return pickle.loads(sent).array, len(sent)


@pytest.mark.parametrize(
    "view",
    [
        lambda rows: rows,
        lambda rows: rows[:, 0],
        lambda rows: rows[3000:10:-7, 1, 3:],
        lambda rows: np.asarray(rows)[1:],
        lambda rows: rows[:, 0].T.reshape(-1, order="A").view(np.uint8)[5:],
    ],
    ids=["whole", "one view", "steps", "plain", "copy"],
)
def test_what_is_read_of_a_file_arrives_as_it_was(view, path: Path) -> None:
    array = view(np.load(path, mmap_mode="r"))
    found, _ = received(array)
    assert (found.dtype, found.strides) == (array.dtype, array.strides)
    assert np.array_equal(found, array)


def test_a_mapped_array_is_sent_without_its_bytes_and_passed_on_so(path: Path) -> None:
    mapped = np.load(path, mmap_mode="r")[:, 0]
    assert received(mapped)[1] < 1000
    sent = pickle.dumps(pickle.loads(pickle.dumps(MappedArray(mapped))))
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).array, mapped)
    assert received(received(mapped)[0])[1] < 1000


@pytest.mark.parametrize("mode", [None, "c", "r+"])
def test_what_is_in_memory_or_was_written_to_is_sent_whole(mode, path: Path) -> None:
    array = np.load(path, mmap_mode=mode)[:, 0]
    array[7] = 1
    found, num_bytes = received(array)
    assert (found[7] == 1).all()
    assert num_bytes > array.nbytes


def test_a_file_that_is_not_there_or_not_the_same_is_named(path: Path) -> None:
    sent = pickle.dumps(MappedArray(np.load(path, mmap_mode="r")))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(
        ClusterError, match=r"rows\.npy has 1280124 bytes for a process that is to read it, and 1280128"
    ):
        _ = pickle.loads(sent).array
    path.unlink()
    with pytest.raises(
        ClusterError, match=r"a process cannot read .*rows\.npy \(.*No such file.*\); put the project on"
    ):
        _ = pickle.loads(sent).array
