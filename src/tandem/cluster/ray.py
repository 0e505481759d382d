"""A work done on the nodes of a Ray cluster. Beside this module actor.py, ray_calls.py and ray_group.py know Ray.

Plain actors, and not Ray Data: docs/scale.md says why. Each node gets the processes of placement.py. A process starts
the work once and then takes batches, with the next one there before it has finished one. Rows come in the order of the
items. What a process was busy with when it or its node ended goes to another one, and a node that joins gets processes.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address
from ray.exceptions import RayError
from tqdm import tqdm

from tandem.cluster.actor import BatchActor, facts_here
from tandem.cluster.agreement import Agreement
from tandem.cluster.batches import Batches
from tandem.cluster.placement import Slot
from tandem.cluster.ray_calls import (
    ADD_ONE,
    PATIENCE_S,
    POLL_S,
    SAID_AFTER_S,
    actor_options,
    folder_of,
    no_node_yet,
    on_node,
    result_of,
    said_by,
    say_of_waiting,
    slots_for,
)
from tandem.cluster.ray_group import run_on_nodes
from tandem.cluster.work import ANY_CLUSTER, Computation, Facts, GroupWork, ItemT, ReportT, ResultT, RowT, Work
from tandem.errors import ClusterError

_IN_FLIGHT = 2  # batches of a process: the one that it computes, and the next
_BATCHES_A_PROCESS = 8  # into which items are divided at least, so that all processes end at about the same time
_WINDOW = 4  # batches a process that may be under way or wait for an earlier one: what this process holds
_CONNECT_S = 10
_MAX_FAILED = 10  # starts one after the other
_FACTS = ray.remote(num_cpus=0, max_retries=-1)(facts_here)


@contextmanager
def connected(address: str | None) -> "Iterator[RayExecutor]":
    """An executor on the cluster at an address; None for the one that Ray finds, or a new one on this machine.

    A connection that this process has already is used, and stays. Raises ClusterError where there is no cluster.
    """
    if ray.is_initialized():
        yield RayExecutor()
        return
    known = address or os.environ.get("RAY_ADDRESS")
    try:
        with ExitStack() as stack:
            if known:
                _require_listener(known)
            elif canonicalize_bootstrap_address(None) is None:  # type: ignore[arg-type]  # none was started here
                stack.enter_context(_on_loopback_alone())
            ray.init(address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200]
        raise ClusterError(
            f"runtime.cluster is {address or ANY_CLUSTER}, and no Ray cluster can be used at {known or 'this machine'} "
            f"({what}); start one (`ray start --head` prints its address), correct the address, or set it to null"
        ) from None
    try:
        yield RayExecutor()
    finally:
        ray.shutdown()


@contextmanager
def _on_loopback_alone() -> Iterator[None]:
    """A cluster that is started inside the block is on 127.0.0.1: none of its servers listens on another address.

    That is what Ray does by itself on macOS and Windows; on Linux no argument of init says it, and the variable that
    does is read when Ray is imported.
    """
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _require_listener(address: str) -> None:
    """Raise OSError or ValueError at once where none is; Ray itself would look for one for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


class RayExecutor:
    """All nodes of the cluster that this process is connected to."""

    def facts(self, work: Work[Any, Any]) -> Facts:
        """Of all nodes that would compute."""
        asked = [
            (slot.node, _FACTS.options(scheduling_strategy=on_node(slot.node)).remote(work, folder_of(work)))
            for slot in slots_for(work.share)
            if slot.number == 0
        ]
        if not asked:
            raise ClusterError(f"the Ray cluster has no node with a CPU; {ADD_ONE}")
        agreed = Agreement()
        for node, reference in asked:
            try:
                agreed.require(f"node {node.address}", result_of(reference))
            except (RayError, ImportError) as error:
                raise ClusterError(
                    f"node {node.address} of the Ray cluster cannot compute ({said_by(error)}); install there "
                    "what is installed here, with the same versions"
                ) from None
        return agreed.facts

    def compute(self, work: Work[ItemT, RowT]) -> "RayComputation[ItemT, RowT]":
        """By processes on the nodes."""
        return RayComputation(work)

    def run_group(self, work: GroupWork[ReportT, ResultT], on_report: Callable[[ReportT], None]) -> ResultT:
        """By one process a node, or one a GPU, at most as many as can take part."""
        return run_on_nodes(work, on_report)


@dataclass(eq=False)
class _Process:
    """An actor in a slot. started: the reference to what it says when it has started. batches: that it has."""

    slot: Slot
    actor: Any
    started: Any
    is_ready: bool = False
    batches: set[int] = field(default_factory=set)


class RayComputation(Computation[ItemT, RowT]):
    """A work by processes that stay as long as this object."""

    def __init__(self, work: Work[ItemT, RowT]) -> None:
        self._work, self._handle = work, ray.put(work)
        self._processes = dict[Slot, _Process]()
        self._facts, self._made = Agreement(), Agreement()
        self._looked_at, self._num_failed, self._has_said = -POLL_S, 0, False
        self._waits_since = time.monotonic()

    @property
    def made(self) -> Facts:
        """What all processes found when they started; the first of them is waited for."""
        while not any(process.is_ready for process in self._processes.values()):
            self._look_at_nodes()
            self._wait([])
        return self._made.facts

    def rows(self, items: Sequence[ItemT]) -> Generator[RowT, None, None]:
        """A row of each item, in order. Raises what the work raised; ClusterError for a batch that is always lost."""
        if not len(items):
            return
        _ = self.made
        run = Batches[ItemT](self._work.batches(items, _BATCHES_A_PROCESS * len(self._processes)))
        computing = dict[Any, tuple[int, _Process]]()
        with tqdm(total=len(items), desc=f"{self._work.title}, Ray", unit="image", disable=None) as bar:
            while not run.is_finished:
                self._look_at_nodes()
                for process in self._with_room():
                    if taken := run.take(_WINDOW * len(self._processes)):
                        number, batch = taken
                        process.batches.add(number)
                        computing[process.actor.rows.remote(batch)] = number, process
                for reference in self._wait(list(computing)):
                    self._receive(reference, *computing.pop(reference), run=run)
                for rows in run.in_order():
                    yield from rows
                    bar.update(len(rows))

    def _look_at_nodes(self) -> None:
        """Start processes on nodes that are new, and let go of those whose node left; at most every few seconds."""
        if time.monotonic() - self._looked_at < POLL_S:
            return
        wanted = slots_for(self._work.share)
        self._processes = {slot: each for slot, each in self._processes.items() if slot in wanted}
        for slot in wanted:
            if slot not in self._processes:
                actor: Any = ray.remote(BatchActor).options(**actor_options(slot)).remote()
                started = actor.start.remote(self._handle, folder_of(self._work))
                self._processes[slot] = _Process(slot, actor, started)
        self._looked_at = time.monotonic()

    def _with_room(self) -> Iterator[_Process]:
        """Processes that can take a batch, those with none before those with one."""
        for num_batches in range(_IN_FLIGHT):
            yield from [each for each in self._processes.values() if each.is_ready and len(each.batches) == num_batches]

    def _wait(self, computing: list[Any]) -> list[Any]:
        """Which of these references are there, after a while; processes that have started meanwhile are ready."""
        starting = [process.started for process in self._processes.values() if not process.is_ready]
        if not computing and not starting:
            time.sleep(POLL_S)
            self._bear_waiting()
            return []
        found, _ = ray.wait(computing + starting, num_returns=1, timeout=POLL_S)
        for process in [each for each in self._processes.values() if not each.is_ready and each.started in found]:
            self._make_ready(process)
        if not computing and not found:
            self._bear_waiting()
        return [each for each in found if each in computing]

    def _make_ready(self, process: _Process) -> None:
        try:
            facts, made = result_of(process.started)
        except RayError as error:  # its node left, or it was killed while it started
            del self._processes[process.slot]
            self._num_failed += 1
            if self._num_failed > _MAX_FAILED and not any(each.is_ready for each in self._processes.values()):
                raise ClusterError(
                    f"processes on the Ray cluster ended {self._num_failed} times while they started, the last one on "
                    f"node {process.slot.node.address} ({said_by(error)}); mostly that is for lack of memory"
                ) from None
            return
        self._facts.require(f"node {process.slot.node.address}", facts)
        self._made.require(f"node {process.slot.node.address}", made)
        process.is_ready, self._num_failed = True, 0
        self._waits_since = time.monotonic()

    def _receive(self, reference: Any, number: int, process: _Process, *, run: Batches[ItemT]) -> None:
        process.batches.discard(number)
        try:
            run.finish(number, result_of(reference))
        except RayError as error:
            run.lose(number, said_by(error))
            self._processes = {slot: each for slot, each in self._processes.items() if each is not process}
        self._waits_since = time.monotonic()

    def _bear_waiting(self) -> None:
        """While nothing computes: say so; without a node that could, raise ClusterError in the end."""
        waited = time.monotonic() - self._waits_since
        if waited > PATIENCE_S and not self._processes:
            raise no_node_yet()
        if waited > SAID_AFTER_S and not self._has_said:
            self._has_said = True
            say_of_waiting()
