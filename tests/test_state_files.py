"""State files; and that whatever we write of arrays and tensors tells of a full disk by the number of its error."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from tandem.files import write_array
from tandem.finetune.checkpoints import save_checkpoint
from tandem.state_files import save_state
from tandem.tables.features import write_features
from tandem.tables.logits import Logits, save_logits

LIMIT_BYTES = 5000
RNG = np.random.default_rng(0)


@contextmanager
def small_files() -> Iterator[None]:
    """No file of this process can grow beyond LIMIT_BYTES inside the block: the system refuses as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_state_is_read_again(tmp_path: Path) -> None:
    save_state({"weight": torch.arange(3.0), "epoch": 2, "curve": [0.5, 0.25]}, tmp_path / "state.pt")
    found = torch.load(tmp_path / "state.pt", weights_only=True)
    assert (found["weight"].tolist(), found["epoch"], found["curve"]) == ([0, 1, 2], 2, [0.5, 0.25])


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.pt", "other.pt"):
        save_state({"weight": torch.arange(3.0)}, tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


def write_state(path: Path) -> None:
    save_state({"weight": torch.from_numpy(RNG.random(4000))}, path)


def write_checkpoint(path: Path) -> None:
    path.mkdir()
    save_checkpoint(path, {"weight": torch.from_numpy(RNG.random(4000))})


def write_large_array(path: Path) -> None:
    write_array(path, RNG.random(4000))


def write_large_logits(path: Path) -> None:
    ids = tuple(f"{number:032x}" for number in range(2000))
    save_logits(Logits(ids, ("car", "truck"), RNG.random((2000, 2), np.float32)), path)


def write_large_features(path: Path) -> None:
    write_features(path, ids=["one", "two"], dim=2000, batches=[RNG.random((2, 1, 2000), np.float32)], meta={})


@pytest.mark.parametrize(
    "write", [write_state, write_checkpoint, write_large_array, write_large_logits, write_large_features]
)
def test_a_file_that_cannot_grow_is_an_error_with_the_system_s_number(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    with small_files(), pytest.raises(OSError, match="File too large") as caught:
        write(tmp_path / "written")
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("call", ["np.save(", "torch.save(", "save_file(", ".tofile("])
def test_only_memory_is_written_by_what_hides_that_number(call: str) -> None:
    lines = [
        line.strip() for path in Path("src").rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert {line for line in lines if call in line} <= {"np.save(data, array)", "torch.save(state, data)"}
