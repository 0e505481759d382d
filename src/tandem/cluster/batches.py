"""Batches that are computed elsewhere in any order, may be lost there, and are wanted back in theirs."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic

from tandem.cluster.work import ItemT
from tandem.errors import ClusterError

MAX_LOST = 3  # times that a batch may be lost: more are not the fault of nodes


class Batches(Generic[ItemT]):
    """By number, in order: which are under way, which are finished and wait for an earlier one."""

    def __init__(self, batches: Iterable[Sequence[ItemT]]) -> None:
        self._todo, self._is_exhausted = enumerate(batches), False
        self._lost, self._num_lost = deque[int](), Counter[int]()
        self._under_way, self._finished = dict[int, Sequence[ItemT]](), dict[int, list[Any]]()
        self._next = 0

    @property
    def is_finished(self) -> bool:
        """Whether all are, and have been handed on."""
        return self._is_exhausted and not self._under_way and not self._finished

    def take(self, window: int) -> tuple[int, Sequence[ItemT]] | None:
        """Number and items of a batch to be computed, one that was lost before all others; None where there is none.

        window: how many, at most, may be under way or wait for an earlier one.
        """
        if self._lost:
            number = self._lost.popleft()
            return number, self._under_way[number]
        if self._is_exhausted or len(self._under_way) + len(self._finished) >= window:
            return None
        found = next(self._todo, None)
        self._is_exhausted = found is None
        if found:
            self._under_way[found[0]] = found[1]
        return found

    def finish(self, number: int, rows: list[Any]) -> None:
        """What came of a batch."""
        batch = self._under_way.pop(number)
        assert len(rows) == len(batch), "a work has a row for each item"
        self._finished[number] = rows

    def lose(self, number: int, reason: str) -> None:
        """It is to be computed again. Raises ClusterError where that has happened too often."""
        self._num_lost[number] += 1
        if self._num_lost[number] > MAX_LOST:
            raise ClusterError(
                f"one batch of {len(self._under_way[number])} was lost {MAX_LOST + 1} times with the process that "
                f"computed it ({reason}), mostly for lack of memory; lower runtime.workers or runtime.batch_size"
            )
        self._lost.append(number)

    def in_order(self) -> Iterator[list[Any]]:
        """The rows of those that are finished, as far as no earlier one is missing."""
        while self._next in self._finished:
            yield self._finished.pop(self._next)
            self._next += 1
