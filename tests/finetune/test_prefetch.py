"""Batches that a thread makes ahead of their use."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tandem.finetune.prefetch import Prefetcher, to_device

CPU = torch.device("cpu")
DEVICES = [CPU] + [torch.device("cuda")] * torch.cuda.is_available()


def numbered(count: int, *, pause_s: float = 0) -> Iterator[tuple[torch.Tensor, ...]]:
    for number in range(count):
        time.sleep(pause_s)
        yield torch.tensor(number), torch.tensor(-number)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_batches_come_whole_and_in_order(device: torch.device) -> None:
    batches = (tuple(to_device(part.numpy(), device) for part in batch) for batch in numbered(9))
    assert [[int(part) for part in batch] for batch in Prefetcher(batches, device)] == [[n, -n] for n in range(9)]


def test_the_next_batch_is_made_while_one_is_used() -> None:
    made = threading.Semaphore(0)

    def batches() -> Iterator[tuple[torch.Tensor, ...]]:
        for batch in numbered(3):
            made.release()
            yield batch

    prefetcher = iter(Prefetcher(batches(), CPU))
    next(prefetcher)
    assert made.acquire(timeout=5)
    assert made.acquire(timeout=5)  # the second, though nobody asked for it
    assert len(list(prefetcher)) == 2


def test_what_is_waited_is_the_time_between_steps_and_not_that_of_steps() -> None:
    slow, fast = Prefetcher(numbered(5, pause_s=0.04), CPU), Prefetcher(numbered(5), CPU)
    assert len(list(slow)) == 5
    for _ in fast:
        time.sleep(0.04)
    assert 0.2 <= slow.wait_s() < 2
    assert fast.wait_s() < 0.1


def test_an_error_of_the_thread_is_raised_where_batches_are_used() -> None:
    def broken() -> Iterator[tuple[torch.Tensor, ...]]:
        yield from numbered(1)
        raise OSError("the disk is gone")

    prefetcher = iter(Prefetcher(broken(), CPU))
    next(prefetcher)
    with pytest.raises(OSError, match="the disk is gone"):
        next(prefetcher)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_an_array_arrives_as_it_is(device: torch.device) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(to_device(array, device).cpu().numpy(), array)
