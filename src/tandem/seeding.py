"""Randomness as an argument, also for the parts of torch that only know its global generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside the block torch's global CPU generator starts at `seed`; afterwards it is as before.

    Layer initialisation and dropout draw from that generator and take no other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
