"""What runs on a node of a Ray cluster: the actor that holds a started work, such as a network."""

import os
from collections.abc import Sequence
from typing import Any

import ray

from tandem.cluster.work import Facts, Started, Work
from tandem.errors import ClusterError
from tandem.libraries import silence_reports


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
