"""One of several processes that do a work together, such as a training: its rank, as torch and MPI call it.

Either an engine starts the processes, or torchrun did: then each of them runs the whole stage, finds its rank in the
environment, and leaves what is written to the first.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Meeting:
    """Where processes find one another. address: of this process's machine. host, port: of the first one.

    listener: in the first one, the descriptor of a socket that listens there already.
    """

    address: str
    host: str
    port: int
    listener: int | None = None


@dataclass(frozen=True)
class Rank:
    """One of `count` processes. local_number: among those of its machine that see the same GPUs.

    meeting: None where the environment says it, as torchrun does.
    """

    number: int = 0
    count: int = 1
    local_number: int = 0
    meeting: Meeting | None = None

    @property
    def is_first(self) -> bool:
        """Whether it writes what comes of the work."""
        return self.number == 0


ONLY = Rank()


def launched_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """That of a process which torchrun started, or another launcher that says it so; else the only one."""
    count = int(environment.get("WORLD_SIZE", "1")) if "RANK" in environment else 1
    if count == 1:
        return ONLY
    return Rank(int(environment["RANK"]), count, int(environment.get("LOCAL_RANK", "0")))


def leave_to_first(rank: Rank) -> None:
    """End this process well, unless it is the first, which goes on alone."""
    if not rank.is_first:
        raise SystemExit(0)
