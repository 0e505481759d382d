"""How many processes each machine of a cluster gets, and what each of them reserves there.

A network computes on all cores of a machine by threads of its own, and decoding by a few: so a machine gets one
process, or one a GPU, or as many as its cores feed. One CPU of each machine is left to Ray's own processes and to other
jobs: of a cluster whose CPUs are all reserved, whatever waits for one of them waits for ever.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tandem.cluster.work import Share


class Node(NamedTuple):
    """One machine, or one part of it that Ray was told to treat as one. num_cpus, num_gpus: as Ray counts them."""

    id: str
    address: str
    num_cpus: float
    num_gpus: float = 0


class Slot(NamedTuple):
    """Where one process computes. num_cpus, num_gpus: that it reserves; number: among the processes of the node."""

    node: Node
    number: int
    num_cpus: int
    num_gpus: int


def slots(nodes: Iterable[Node], share: Share) -> list[Slot]:
    """Of all processes. Nodes without a CPU get none; nor those without a GPU, where others have what is asked for."""
    usable = [node for node in nodes if node.num_cpus >= 1]
    with_gpu = [node for node in usable if node.num_gpus >= 1] if share.may_use_gpu else []
    return [slot for node in sorted(with_gpu or usable) for slot in _slots_on(node, share, on_gpu=bool(with_gpu))]


def _slots_on(node: Node, share: Share, *, on_gpu: bool) -> list[Slot]:
    free = max(1, int(node.num_cpus) - 1)
    if on_gpu:
        count = int(node.num_gpus)
        num_cpus = free // count  # 0 where a machine has more GPUs than CPUs
    elif share.threads is None:
        count, num_cpus = 1, free
    else:
        num_cpus = min(share.threads, free)
        count = free // num_cpus
    return [Slot(node, number, num_cpus, int(on_gpu)) for number in range(count)]
