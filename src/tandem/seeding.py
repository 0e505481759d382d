"""Reproducible torch: randomness as an argument, and sums in one order."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

_CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device = _CPU) -> Iterator[None]:
    """Inside the block torch's global CPU generator, and on CUDA the device's, starts at `seed`; then it is as before.

    Layer initialization and dropout draw from that generator and take no other. It belongs to the whole process: no two
    threads may be inside at once.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield


def deterministic_cudnn() -> AbstractContextManager[None]:
    """Inside the block cuDNN takes only algorithms that give the same bytes each time; without CUDA it does nothing."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Inside the block torch computes on one core: its sums, to the last bit, do not depend on how many there are.

    For the small matrices of a head this is also faster as soon as anything else keeps a core busy: threads that wait
    for one another several times a step took ten times as long then.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
