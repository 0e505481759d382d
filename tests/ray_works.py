"""Works that tests of clusters give to processes, which import them from here."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from tandem.cluster.work import Facts, Share, Started, Work
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
