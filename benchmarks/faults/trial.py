"""One damaged input after another, each read in a child process that is watched."""

import multiprocessing
import os
import resource
import shutil
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from tandem.pipeline.run import said_of

TIMEOUT_S, MAX_GROWTH_MB = 20, 500
READ, REFUSED, TRACEBACK, HANG, GROWTH, WRONG, DIED = "read", "refused", "traceback", "hang", "growth", "wrong", "died"
SURVIVED = (READ, REFUSED)


class Reader(NamedTuple):
    """files: of a valid input, by path; those in `damaged` are damaged. read: of the folder that holds them.

    is_sealed: an input that is not what it was must be refused. may_miss: one of them may be missing.
    """

    name: str
    files: Mapping[str, bytes]
    damaged: tuple[str, ...]
    read: Callable[[Path], object]
    is_sealed: bool = False
    may_miss: bool = True


class Outcome(NamedTuple):
    """kind: one of those above. detail: the message or the traceback."""

    kind: str
    detail: str


class Trials:
    """Reads inputs in a child process, which is replaced when it hangs, grows or dies. folder: its scratch."""

    def __init__(self, readers: Mapping[str, Reader], folder: Path) -> None:
        self.readers, self.folder = readers, folder
        self._start()

    def run(self, name: str, files: Mapping[str, bytes]) -> Outcome:
        """What came of one input."""
        self.pipe.send((name, files))
        outcome = Outcome(HANG, f"no answer for {TIMEOUT_S} s")
        try:
            if self.pipe.poll(TIMEOUT_S):
                outcome = self.pipe.recv()
        except EOFError:
            outcome = Outcome(DIED, "the process died")
        if outcome.kind in (HANG, GROWTH, DIED):
            self.end()
            self._start()
        return outcome

    def end(self) -> None:
        """End the child process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, self.readers, self.folder), daemon=True)
        self.process.start()
        child.close()


def _serve(pipe: Connection, readers: Mapping[str, Reader], folder: Path) -> None:
    os.chdir(folder.parent)  # where no project is: a traceback would be explained by a file of it that was changed
    while True:
        name, files = pipe.recv()
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        before_mb = _peak_mb()
        outcome = _outcome(readers[name], files, folder)
        if (growth := _peak_mb() - before_mb) > MAX_GROWTH_MB:
            outcome = Outcome(GROWTH, f"it grew by {growth:.0f} MB")
        pipe.send(outcome)


def _outcome(reader: Reader, files: Mapping[str, bytes], folder: Path) -> Outcome:
    try:
        reader.read(folder)
    except Exception as error:  # noqa: BLE001  # what a person would see
        said = said_of(error)
        return Outcome(REFUSED, said) if said else Outcome(TRACEBACK, traceback.format_exc())
    is_wrong = reader.is_sealed and dict(files) != dict(reader.files)
    return Outcome(WRONG, "it was changed, and read") if is_wrong else Outcome(READ, "")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
