"""A stage whose dvc is gone ends by itself: else it would hold its locks, and write on, beside the next run."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]

_POLL_S = 0.5
_GRACE_S = 5.0  # for a run to end in order; then it is ended
_SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
_STARTED_BY_DVC = "DVC_STAGE"  # which dvc sets for the commands of its stages


@contextmanager
def ended_with_dvc(environ: Mapping[str, str]) -> Iterator[None]:
    """While the block runs: when the dvc that started this stage is gone, end as at Ctrl-C, within seconds.

    Does nothing in a process that dvc did not start.
    """
    dvc = _dvc() if _STARTED_BY_DVC in environ else None
    done = threading.Event()
    if dvc:
        threading.Thread(target=_watch, args=(dvc, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _dvc() -> psutil.Process | None:
    """The nearest process above this one that is no shell: dvc runs a stage's command by one."""
    try:
        return next((each for each in psutil.Process().parents() if each.name() not in _SHELLS), None)
    except psutil.Error:
        return None


def _watch(dvc: psutil.Process, done: threading.Event) -> None:
    while not done.wait(_POLL_S):
        if not _is_alive(dvc):
            sys.stderr.write("dvc is gone, so this stage ends\n")
            os.kill(os.getpid(), signal.SIGINT)
            if not done.wait(_GRACE_S):
                os._exit(130)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
