"""A training by torch beside what NumPy and SciPy compute: each keeps one core busy, and most machines have two."""

import ctypes
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import NoReturn, TypeVar

from threadpoolctl import threadpool_limits

_PR_SET_PDEATHSIG = 1  # of Linux: the signal that a process gets when the one that forked it has ended
_Result = TypeVar("_Result")


@contextmanager
def beside(compute: Callable[[], _Result]) -> Iterator[Callable[[], _Result]]:
    """Compute something while the block runs; what is yielded waits for its result, or raises its error.

    The same bytes as one after the other: NumPy's BLAS has one core until the block ends. On Linux compute has a
    process of its own as long as torch is not loaded, whose threads no fork would have: to import torch keeps Python's
    lock for a second, in which a thread would stand still. What it does must show in its result alone, which is
    pickled. Elsewhere it has a thread. At most one of the two may use torch, whose generator is the process's (see
    tandem.seeding).
    """
    start = _in_process if sys.platform == "linux" and "torch" not in sys.modules else _in_thread
    with threadpool_limits(limits=1), start(compute) as result:
        yield result


@contextmanager
def _in_process(compute: Callable[[], _Result]) -> Iterator[Callable[[], _Result]]:
    """What fails there, or is killed for lack of memory, is computed again here, where it raises its error."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # of Python 3.12 on, where there are threads: BLAS ends its own for a fork, others (tandem.sources.orphan) wait
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(reader)
        _send(compute, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:

        @cache
        def finished() -> bytes | None:
            data = file.read()
            _, status = os.waitpid(child, 0)
            return data if status == 0 else None

        @cache
        def result() -> _Result:
            data = finished()
            return compute() if data is None else pickle.loads(data)  # noqa: S301  # of this process's own child

        try:
            yield result
        finally:
            if not finished.cache_info().currsize:
                os.kill(child, signal.SIGKILL)  # after an error in the block
                finished()


def _send(compute: Callable[[], object], writer: int) -> NoReturn:
    """In the process of its own: it ends here, or with the other, and leaves nothing of the other's to be written."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with threadpool_limits(limits=1), os.fdopen(writer, "wb") as file:
            file.write(pickle.dumps(compute(), pickle.HIGHEST_PROTOCOL))
        status = 0
    finally:
        os._exit(status)


@contextmanager
def _in_thread(compute: Callable[[], _Result]) -> Iterator[Callable[[], _Result]]:
    """The limit of BLAS is the process's: what sets it for its own sums would lift it for the other's, but for beside.

    After an error in the block the thread is waited for; after Ctrl-C it ends with the process.
    """
    future = Future[_Result]()
    thread = Thread(target=_settle, args=(future, compute), daemon=True)
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
