"""A training by epochs beside other fits: each keeps one core busy, and most machines have two."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

from threadpoolctl import threadpool_limits

_Result = TypeVar("_Result")


@contextmanager
def beside(compute: Callable[[], _Result]) -> Iterator[Callable[[], _Result]]:
    """Compute something in a thread while the block runs; what is yielded waits for its result, or raises its error.

    The same bytes as one after the other: NumPy's BLAS has one core until the block ends, since the limit is the
    process's, and what sets it for its own sums would else lift it for the other's. At most one of the two may use
    torch, whose generator is the process's as well (see tandem.seeding). After an error in the block the thread is
    waited for; after Ctrl-C it ends with the process.
    """
    future = Future[_Result]()
    thread = Thread(target=_settle, args=(future, compute), daemon=True)
    with threadpool_limits(limits=1):
        thread.start()
        try:
            yield future.result
        except Exception:
            thread.join()
            raise
        thread.join()


def _settle(future: "Future[_Result]", compute: Callable[[], _Result]) -> None:
    try:
        future.set_result(compute())
    except BaseException as error:  # noqa: BLE001  # which future.result raises
        future.set_exception(error)
