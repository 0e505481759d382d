"""Works that tests of clusters give to processes, which import them from here."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tandem.cluster.group import Rank
from tandem.cluster.work import Facts, GroupWork, Share, Started, Work
from tandem.errors import DataError


@dataclass(frozen=True)
class Rows(Work[int, tuple[int, int, int]]):
    """Of a number: its square, the process that computed it, and that one's memory in MB. pause_s: of each.

    num_bytes: that a row carries besides.
    """

    pause_s: float = 0
    num_bytes: int = 0
    batch: int = 10
    fails_at: int = -1

    @property
    def title(self) -> str:
        return "squares"

    @property
    def share(self) -> Share:
        return Share(None)

    def facts(self) -> Facts:
        return {"library": 1}

    def start(self) -> Started:
        return Started({"engine": "squares"}, self._rows)

    def batches(self, items: Sequence[int], num_batches: int) -> Iterator[Sequence[int]]:
        return (items[at : at + self.batch] for at in range(0, len(items), self.batch))

    def _rows(self, items: Sequence[int]) -> Iterator[tuple]:
        for item in items:
            time.sleep(self.pause_s)
            if item == self.fails_at:
                raise DataError(f"{item} cannot be squared")
            yield item**2, os.getpid(), psutil.Process().memory_info().rss >> 20, np.zeros(self.num_bytes, np.uint8)


class Different(Rows):
    """Facts of which each process has its own."""

    def facts(self) -> Facts:
        return {"libraries": os.getpid(), "code": "one"}


@dataclass(frozen=True)
class Steps(GroupWork[int, list[int]]):
    """Takes steps up to `last`, and keeps in a file of how many processes each was; they are its result.

    Each step begins with the last process, which is killed before step `ends_at`, once or always, or fails at one.
    """

    folder: Path
    last: int = 4
    ends_at: int = -1
    always_ends: bool = False
    fails_at: int = -1
    max_processes: int = 8
    title: str = "steps"

    @property
    def share(self) -> Share:
        return Share(None)

    def facts(self) -> Facts:
        return {"library": 1}

    def run(self, rank: Rank, on_report: Callable[[int], None]) -> list[int]:
        kept = self._kept()
        if rank.is_first:
            for step in range(1, len(kept) + 1):
                on_report(step)
        for step in range(len(kept) + 1, self.last + 1):
            begun = self.folder / f"begun-{step}"
            if rank.number == rank.count - 1:
                self._begin(step, begun)
            if rank.is_first:
                while not begun.exists():
                    time.sleep(0.01)
                (self.folder / "new").write_text(" ".join(map(str, [*self._kept(), rank.count])))
                (self.folder / "new").rename(self.folder / "kept")
                on_report(step)
            while len(self._kept()) < step:
                time.sleep(0.01)
        return self._kept()

    def _begin(self, step: int, begun: Path) -> None:
        ended = self.folder / "ended"
        if step == self.ends_at and (self.always_ends or not ended.exists()):
            ended.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if step == self.fails_at:
            raise DataError(f"step {step} cannot be taken")
        begun.touch()

    def _kept(self) -> list[int]:
        path = self.folder / "kept"
        return [int(each) for each in path.read_text().split()] if path.exists() else []


class DifferentSteps(Steps):
    """Facts of which each process has its own."""

    def facts(self) -> Facts:
        return {"libraries": os.getpid()}
