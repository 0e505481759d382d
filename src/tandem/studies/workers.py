"""Jobs side by side in processes, one core each, which all end with the one that started them."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import RLock, Thread
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tandem.errors import PipelineError

_Shared = TypeVar("_Shared")
_Result = TypeVar("_Result")


@contextmanager
def run_jobs(
    jobs: Sequence[Callable[[_Shared], _Result]], shared: _Shared, *, workers: int
) -> Iterator[Iterable[_Result]]:
    """Yield what each job makes of `shared`, in order; by so many processes, which end with the block.

    workers: 1 is this process. shared reaches each process once, and not with each job. Raises PipelineError where a
    process is ended from outside.
    """
    if workers == 1:
        with single_core():
            yield (job(shared) for job in jobs)
        return
    others = active_children()
    with ProcessPoolExecutor(workers, get_context("spawn"), _Worker.begin, (shared,)) as pool:
        try:
            yield pool.map(_Worker.run, jobs)
        except BrokenProcessPool:
            raise PipelineError(
                "a process that trains was ended before its work was done, perhaps for want of memory; "
                "set runtime.workers to 1, which trains in one process alone"
            ) from None
        finally:  # after Ctrl-C or an error nobody waits for trainings that have begun
            for process in set(active_children()) - set(others):
                process.kill()


@contextmanager
def single_core() -> Iterator[None]:
    """On one core, and without bars: several processes would write them at once."""
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), threadpool_limits(limits=1):
        yield


class _Worker:
    """What a process of the pool works on."""

    shared: Any

    @classmethod
    def begin(cls, shared: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal; the first process ends us
        tqdm.set_lock(RLock())  # else tqdm makes a semaphore, which nobody takes away when this process is killed
        Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
        cls.shared = shared

    @classmethod
    def run(cls, job: Callable[[Any], _Result]) -> _Result:
        with single_core():
            return job(cls.shared)


def _end_with(parent: BaseProcess) -> None:
    """End this process when its parent has ended, even by a kill."""
    parent.join()
    os._exit(1)
