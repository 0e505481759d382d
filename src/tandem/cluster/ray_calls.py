"""What Ray is asked for: its nodes, processes on them, and what those return. Tested in tests/cluster/test_ray.py."""

import sys
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tandem.cluster.placement import Node, Slot, slots
from tandem.cluster.work import Share, Work
from tandem.errors import ClusterError

POLL_S = 2.0  # after which it is looked for nodes that joined or left
PATIENCE_S, SAID_AFTER_S = 600, 60  # without a node; without a process that has started
ADD_ONE = "add one (`ray start --address`), or set runtime.cluster to null"


def slots_for(share: Share) -> list[Slot]:
    """Of the nodes that are there now."""
    alive = [
        Node(
            id=each["NodeID"],
            address=each["NodeManagerAddress"],
            num_cpus=each["Resources"].get("CPU", 0),
            num_gpus=each["Resources"].get("GPU", 0),
        )
        for each in ray.nodes()
        if each["Alive"]
    ]
    return slots(alive, share)


def folder_of(work: Work[Any, Any]) -> str | None:
    """The folder that processes of a work are to enter, if any."""
    return str(Path.cwd()) if work.needs_folder else None


def actor_options(slot: Slot) -> dict[str, Any]:
    """Of an actor. Ray does not restart it: that would wait for its node, and its batches would wait for it."""
    return {
        "num_cpus": slot.num_cpus,
        "num_gpus": slot.num_gpus,
        "max_restarts": 0,
        "max_task_retries": 0,
        "scheduling_strategy": on_node(slot.node),
    }


def on_node(node: Node) -> NodeAffinitySchedulingStrategy:
    """There or nowhere."""
    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def result_of(reference: Any) -> Any:
    """What a call returned; what it raised is raised as it was. RayError where it, or its process, was lost."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None


def said_by(error: Exception) -> str:
    """The first line of an error."""
    return str(error).strip().partition("\n")[0][:200]


def no_node_yet() -> ClusterError:
    """After waiting for one."""
    return ClusterError(f"the Ray cluster has had no node with a CPU for {PATIENCE_S} s; {ADD_ONE}")


def say_of_waiting() -> None:
    """On stderr."""
    warn_about_cluster(
        "waiting for the Ray cluster, where no process has started yet; `ray status` shows what keeps it busy"
    )


def warn_about_cluster(text: str) -> None:
    """On stderr."""
    sys.stderr.write(f"warning: {text}\n")
