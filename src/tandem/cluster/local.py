"""A work done in this process: all items are one batch, so that nothing pauses between batches."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tandem.cluster.work import Computation, Facts, ItemT, RowT, Started, Work


@dataclass(frozen=True)
class LocalComputation(Computation[ItemT, RowT]):
    """Of this process, in which the work is started when it is needed."""

    work: Work[ItemT, RowT]

    @cached_property
    def _started(self) -> Started[ItemT, RowT]:
        return self.work.start()

    @property
    def made(self) -> Facts:
        """What was found at the start."""
        return self._started.made

    def rows(self, items: Sequence[ItemT]) -> Generator[RowT, None, None]:
        """A row of each item, as they come; without an item nothing is started."""
        if len(items):
            yield from self._started.rows(items)


class LocalExecutor:
    """This machine, and nothing of Ray."""

    def facts(self, work: Work[Any, Any]) -> Facts:
        """Of this process."""
        return work.facts()

    def compute(self, work: Work[ItemT, RowT]) -> LocalComputation[ItemT, RowT]:
        """Here."""
        return LocalComputation(work)
