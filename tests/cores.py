"""As though the machine had another number of cores, for what must not depend on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def on_cores(number: int) -> Iterator[None]:
    """Inside the block torch and all BLAS and OpenMP libraries that are loaded compute on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(limits=number):
            yield
    finally:
        torch.set_num_threads(before)
