"""An executor in the middle of whose work something happens, such as the end of a node."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from tandem.cluster.work import Computation, Executor, Facts, GroupWork, ItemT, ReportT, ResultT, RowT, Work

KILLED_AFTER = 1 / 3  # of the rows


class Killing(Executor):
    """Another executor, of whose first work `kill` is called once a part of the rows is there."""

    def __init__(self, executor: Executor, kill: Callable[[], None]) -> None:
        self._executor, self._kill, self._is_first = executor, kill, True

    def facts(self, work: Work[Any, Any]) -> Facts:
        return self._executor.facts(work)

    def compute(self, work: Work[ItemT, RowT]) -> Computation[ItemT, RowT]:
        computation, is_first, self._is_first = self._executor.compute(work), self._is_first, False
        return Interrupted(computation, self._kill) if is_first else computation

    def run_group(self, work: GroupWork[ReportT, ResultT], on_report: Callable[[ReportT], None]) -> ResultT:
        return self._executor.run_group(work, on_report)


class Interrupted(Computation[ItemT, RowT]):
    """A computation, in the middle of whose rows something happens."""

    def __init__(self, computation: Computation[ItemT, RowT], happens: Callable[[], None]) -> None:
        self._computation, self._happens = computation, happens

    @property
    def made(self) -> Facts:
        return self._computation.made

    def rows(self, items: Sequence[ItemT]) -> Generator[RowT, None, None]:
        for number, row in enumerate(self._computation.rows(items)):
            if number == int(KILLED_AFTER * len(items)):
                self._happens()
            yield row
