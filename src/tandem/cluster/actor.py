"""What runs on a node of a Ray cluster: the actor that holds a started work, such as a network."""

import os
import socket
from collections.abc import Sequence
from typing import Any

import ray

from tandem.cluster.group import Meeting, Rank
from tandem.cluster.work import Facts, GroupWork, Started, Work
from tandem.errors import ClusterError
from tandem.libraries import silence_reports

_BACKLOG = 1024  # processes that may connect at once


def facts_here(work: Work[Any, Any], folder: str | None) -> Facts:
    """A work's facts on this node."""
    _enter(folder)
    return work.facts()


class BatchActor:
    """A process of its own, in which nothing else runs. Who holds it sees it end, and gives its batches to another."""

    def __init__(self) -> None:
        self._started: Started[Any, Any] | None = None

    def start(self, work: Work[Any, Any], folder: str | None) -> tuple[Facts, Facts]:
        """Start the work, as if in this folder: its facts here, and what it found."""
        _enter(folder)
        self._started = work.start()
        return work.facts(), self._started.made

    def rows(self, batch: Sequence[Any]) -> list[Any]:
        """Of one batch."""
        assert self._started is not None, "it was started before it became ready"
        return list(self._started.rows(batch))


class GroupActor:
    """A process of its own that is one of several. It answers while it runs: Ray gives it two threads."""

    def __init__(self) -> None:
        self._reports = list[Any]()
        self._listener: socket.socket | None = None

    def enter(self, work: GroupWork[Any, Any], folder: str) -> tuple[Facts, str, int]:
        """Be in this folder, and listen: the work's facts here, this node's address, and the port."""
        _enter(folder)
        address = ray.util.get_node_ip_address()
        self._listener = socket.create_server((address, 0), backlog=_BACKLOG)
        return work.facts(), address, self._listener.getsockname()[1]

    def run(self, work: GroupWork[Any, Any], number: int, count: int, host: str, port: int) -> Any:
        """This process's part, as the number-th of count, which meet at the first one's host and port."""
        assert self._listener is not None, "it entered before"
        meeting = Meeting(ray.util.get_node_ip_address(), host, port, self._listener.detach() if number == 0 else None)
        result = work.run(Rank(number, count, meeting=meeting), self._reports.append)
        return result if number == 0 else None

    def reports(self, start: int) -> list[Any]:
        """What was reported, from that number on."""
        return self._reports[start:]


def _enter(folder: str | None) -> None:
    """Relative paths mean what they mean where the stage runs."""
    silence_reports()
    if folder is None:
        return
    try:
        os.chdir(folder)
    except OSError as error:
        node = ray.util.get_node_ip_address()
        raise ClusterError(
            f"the node {node} of the Ray cluster cannot use {folder} ({error.strerror}); put the project on a disk "
            "that all nodes have under the same path, such as NFS"
        ) from None
