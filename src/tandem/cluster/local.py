"""A work done in this process: all items are one batch, so that nothing pauses between batches."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tandem.cluster.group import launched_rank, leave_to_first
from tandem.cluster.work import Computation, Facts, GroupWork, ItemT, ReportT, ResultT, RowT, Started, Work


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

    def run_group(self, work: GroupWork[ReportT, ResultT], on_report: Callable[[ReportT], None]) -> ResultT:
        """By this process, and those that torchrun started beside it, of which all but the first end here."""
        rank = launched_rank()
        result = work.run(rank, on_report)
        leave_to_first(rank)
        return result


LOCAL = LocalExecutor()
