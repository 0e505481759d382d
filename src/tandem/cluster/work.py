"""What a stage hands over, and what an engine makes of it: the contract between the two.

A stage knows `Work` and `Executor` alone, so another engine is one more module beside local.py and ray.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tandem.cluster.group import Rank

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")
ReportT = TypeVar("ReportT")
ResultT = TypeVar("ResultT")
Facts = Mapping[str, Any]
ANY_CLUSTER = "auto"  # in place of an address


@dataclass(frozen=True)
class Share:
    """What one process computes on. threads: that it keeps busy, None for all of a machine.

    may_use_gpu: where a machine has GPUs, it takes one.
    """

    threads: int | None
    may_use_gpu: bool = False


@dataclass(frozen=True)
class Started(Generic[ItemT, RowT]):
    """A work in a process that computes. made: what it found when it started, the same wherever rows are the same.

    rows: a row of each item of a batch, in order; it remembers nothing of other batches.
    """

    made: Facts
    rows: Callable[[Sequence[ItemT]], Iterator[RowT]]


class Task(ABC):
    """What is done by processes, here or on nodes, to which it is pickled."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What its progress bar is called."""

    @property
    @abstractmethod
    def share(self) -> Share:
        """What one of its processes takes."""

    @abstractmethod
    def facts(self) -> Facts:
        """What comes of it depends on these where this is called: code, libraries, the processor. Loads nothing."""


class Work(Task, Generic[ItemT, RowT]):
    """A pure function from a batch of items to rows, and what it needs for that."""

    @property
    def needs_folder(self) -> bool:
        """Whether it reads files of the folder that the stage runs in."""
        return True

    @abstractmethod
    def start(self) -> Started[ItemT, RowT]:
        """Load what all batches need, such as a network: once a process."""

    @abstractmethod
    def batches(self, items: Sequence[ItemT], num_batches: int) -> Iterator[Sequence[ItemT]]:
        """The items in order, in about so many batches or in more, each with its rows bounded in memory."""


class GroupWork(Task, Generic[ReportT, ResultT]):
    """What several processes do together, such as a training.

    Done once more after one of them ended, it goes on from what it has kept on the disk that all of them share.
    """

    @property
    @abstractmethod
    def max_processes(self) -> int:
        """More cannot take part."""

    @abstractmethod
    def run(self, rank: Rank, on_report: Callable[[ReportT], None]) -> ResultT:
        """The part of one process; its result is the first one's. on_report: called by the first one alone.

        Work that goes on reports all anew from its beginning. Raises PeerLostError where another process ended.
        """


def in_batches(items: Sequence[ItemT], num_batches: int, *, at_most: int) -> Iterator[Sequence[ItemT]]:
    """The items in order, in batches of one size but for the last: so many of them, or more where they would be large.

    at_most: items of a batch.
    """
    size = max(1, min(at_most, len(items) // num_batches))
    return (items[at : at + size] for at in range(0, len(items), size))


class Computation(ABC, Generic[ItemT, RowT]):
    """A work that is done somewhere. Processes start when it is first asked for something."""

    @property
    @abstractmethod
    def made(self) -> Facts:
        """What all processes found when they started."""

    @abstractmethod
    def rows(self, items: Sequence[ItemT]) -> Generator[RowT, None, None]:
        """A row of each item, in order, in constant memory."""


class Executor(Protocol):
    """Where works are done."""

    def facts(self, work: Work[Any, Any]) -> Facts:
        """Its facts where it would be done. Raises ClusterError where they are not the same on all machines."""
        ...

    def compute(self, work: Work[ItemT, RowT]) -> Computation[ItemT, RowT]:
        """Have a work done."""
        ...

    def run_group(self, work: GroupWork[ReportT, ResultT], on_report: Callable[[ReportT], None]) -> ResultT:
        """Have a work done by several processes together; the result of the first. on_report: called here, in order."""
        ...
