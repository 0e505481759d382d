"""What makes torch repeat itself: randomness as an argument, and sums in one order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside the block torch's global CPU generator starts at `seed`; afterwards it is as before.

    Layer initialisation and dropout draw from that generator and take no other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside the block torch computes on one core: its sums, to the last bit, do not depend on how many there are.

    For the small matrices of a head it is also the faster way as soon as anything else keeps a core busy:
    threads that wait for one another several times a step took ten times as long then.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
