"""All cores of this process, each of which computes alone: no bit depends on how many there are."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any

from threadpoolctl import ThreadpoolController

from tandem.cluster.work import ItemT, ResultT

_AHEAD = 2  # results of each core that may wait for an earlier one


def on_one_core() -> AbstractContextManager[Any]:
    """Inside the block NumPy's and faiss's products are taken by one thread."""
    return _libraries().limit(limits=1)


def by_all_cores(function: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
    """function(item) of each item, in order, a few of them at a time, each on one core.

    There are as many threads as faiss would take: OMP_NUM_THREADS, which Ray sets, or the cores that are there.
    """
    import faiss

    num_cores, waiting = faiss.omp_get_max_threads(), deque[Future[ResultT]]()
    begin = partial(faiss.omp_set_num_threads, 1)  # OpenMP has a number of its own for each thread
    with on_one_core(), ThreadPoolExecutor(num_cores, initializer=begin) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _AHEAD * num_cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@cache
def _libraries() -> ThreadpoolController:
    """Of all that are loaded now, faiss among them."""
    import faiss  # noqa: F401

    return ThreadpoolController()
