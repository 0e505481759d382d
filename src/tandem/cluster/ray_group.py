"""Processes on the nodes of a Ray cluster that do one work together, such as a training by torch.distributed.

Plain actors, and not Ray Train: docs/scale.md says why. All of them are there, or none computes. Where one ends, the
others are ended, and the nodes that are there then go on from what the work has kept on the disk that they share.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from tqdm import tqdm

from tandem.cluster.actor import GroupActor
from tandem.cluster.agreement import Agreement
from tandem.cluster.placement import Slot
from tandem.cluster.ray_calls import (
    PATIENCE_S,
    POLL_S,
    SAID_AFTER_S,
    actor_options,
    no_node_yet,
    result_of,
    said_by,
    say_of_waiting,
    slots_for,
    warn_about_cluster,
)
from tandem.cluster.work import GroupWork, ReportT, ResultT
from tandem.errors import ClusterError, PeerLostError

_MAX_LOST = 10  # attempts, one after the other, of which nothing new was reported
_REPORTS_S = 0.5  # after which the first process is asked for reports
_GRACE_S = 30  # for what a process says that lost another one, until it is known which one that was


def run_on_nodes(work: GroupWork[ReportT, ResultT], on_report: Callable[[ReportT], None]) -> ResultT:
    """The result of the first process. on_report: called once for each report, however often the work is done anew.

    Raises what the work raised; ClusterError where processes end again and again, or where there is no node.
    """
    handle, reports, num_lost = ray.put(work), _Reports(work.title, on_report), 0
    while True:
        known = reports.count
        attempt = _Attempt(work, handle, _wait_for_slots(work), reports)
        try:
            result: Any = attempt.result()
            return result
        except PeerLostError as lost:
            num_lost = 1 if reports.count > known else num_lost + 1
            if num_lost > _MAX_LOST:
                raise ClusterError(
                    f"processes of {work.title} on the Ray cluster ended {num_lost} times without getting on, the last "
                    f"time {lost}; mostly that is for lack of memory"
                ) from None
            warn_about_cluster(f"{work.title}: {lost}; the nodes that are there go on from the last epoch")
            time.sleep(POLL_S)
        finally:
            attempt.end()


class _Reports:
    """Those that were handed on. An attempt reports all anew."""

    def __init__(self, title: str, on_report: Callable[[Any], None]) -> None:
        self.count = 0
        self._on_report, self._bar = on_report, tqdm(desc=f"{title}, Ray", unit="epoch", disable=None)

    def add(self, found: list[Any]) -> None:
        for report in found:
            self._on_report(report)
            self._bar.update()
        self.count += len(found)


class _Attempt:
    """Processes in slots, from their start to the result or to the end of the first that ends."""

    def __init__(self, work: GroupWork[Any, Any], handle: Any, slots: list[Slot], reports: _Reports) -> None:
        self._work, self._handle, self._slots, self._reports = work, handle, slots, reports
        options = [{**actor_options(slot), "max_concurrency": 2} for slot in slots]
        self._actors: list[Any] = [ray.remote(GroupActor).options(**each).remote() for each in options]

    def result(self) -> Any:
        entered = self._all([actor.enter.remote(self._handle, str(Path.cwd())) for actor in self._actors], "start")
        agreed = Agreement()
        for facts, address, _ in entered:
            agreed.require(f"node {address}", facts)
        _, host, port = entered[0]
        count = len(self._actors)
        runs = [actor.run.remote(self._handle, at, count, host, port) for at, actor in enumerate(self._actors)]
        return self._all(runs, "run")[0]

    def end(self) -> None:
        for actor in self._actors:
            ray.kill(actor)

    def _all(self, calls: list[Any], phase: str) -> list[Any]:
        """What all calls return, once they all have; reports are handed on meanwhile."""
        results, started, has_said, severed = dict[Any, Any](), time.monotonic(), False, ""
        ends_by = float("inf")
        while len(results) < len(calls):
            waiting = [call for call in calls if call not in results]
            found, _ = ray.wait(waiting, num_returns=1, timeout=_REPORTS_S)
            for call in found:
                try:
                    results[call] = result_of(call)
                except RayError as error:
                    node = self._slots[calls.index(call)].node
                    raise PeerLostError(f"a process on node {node.address} ended ({said_by(error)})") from None
                except PeerLostError as error:  # which one ended is said by another call
                    results[call], severed = None, severed or str(error)
                    ends_by = min(ends_by, time.monotonic() + _GRACE_S)
            if severed and (time.monotonic() > ends_by or len(results) == len(calls)):
                raise PeerLostError(severed)
            if phase == "run":
                self._hand_on_reports()
            elif not has_said and time.monotonic() - started > SAID_AFTER_S:
                has_said = True
                say_of_waiting()
        return [results[call] for call in calls]

    def _hand_on_reports(self) -> None:
        try:
            self._reports.add(result_of(self._actors[0].reports.remote(self._reports.count)))
        except RayError as error:
            raise PeerLostError(f"a process on node {self._slots[0].node.address} ended ({said_by(error)})") from None


def _wait_for_slots(work: GroupWork[Any, Any]) -> list[Slot]:
    """Of as many processes as can take part, on few nodes. Raises ClusterError without a node."""
    until = time.monotonic() + PATIENCE_S
    while not (found := slots_for(work.share)):
        if time.monotonic() > until:
            raise no_node_yet()
        time.sleep(POLL_S)
    return found[: work.max_processes]
