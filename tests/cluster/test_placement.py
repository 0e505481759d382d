"""How many processes machines get."""

import pytest

from tandem.cluster.placement import Node, slots
from tandem.cluster.work import Share

HEAD = Node("0", "10.0.0.1", 0)
SMALL, LARGE = Node("1", "10.0.0.2", 2), Node("2", "10.0.0.3", 64)
GPUS = Node("3", "10.0.0.4", 16, 4)


def counts(nodes: list[Node], share: Share) -> dict[str, list[tuple[int, int]]]:
    """Address -> CPUs and GPUs of each process."""
    found = dict[str, list[tuple[int, int]]]()
    for slot in slots(nodes, share):
        found.setdefault(slot.node.address, []).append((slot.num_cpus, slot.num_gpus))
    return found


def test_a_network_gets_one_process_a_machine_and_leaves_a_cpu_of_it() -> None:
    assert counts([LARGE, HEAD, SMALL], Share(None)) == {"10.0.0.2": [(1, 0)], "10.0.0.3": [(63, 0)]}


def test_threads_that_decode_get_as_many_processes_as_a_machine_has_cores_for() -> None:
    assert counts([SMALL, LARGE], Share(8)) == {"10.0.0.2": [(1, 0)], "10.0.0.3": [(8, 0)] * 7}


@pytest.mark.parametrize("num_cpus", [1, 2, 3, 16, 64])
@pytest.mark.parametrize("threads", [None, 1, 2, 8])
def test_a_machine_is_never_reserved_as_a_whole_but_for_one_with_a_single_cpu(
    num_cpus: int, threads: int | None
) -> None:
    found = slots([Node("1", "10.0.0.2", num_cpus)], Share(threads))
    assert 1 <= sum(slot.num_cpus for slot in found) <= max(1, num_cpus - 1)


def test_each_gpu_gets_a_process_and_machines_without_one_none() -> None:
    assert counts([SMALL, GPUS], Share(None, may_use_gpu=True)) == {"10.0.0.4": [(3, 1)] * 4}
    assert counts([SMALL, GPUS], Share(None)) == {"10.0.0.2": [(1, 0)], "10.0.0.4": [(15, 0)]}
    assert counts([SMALL], Share(None, may_use_gpu=True)) == {"10.0.0.2": [(1, 0)]}


def test_slots_do_not_depend_on_the_order_in_which_nodes_are_listed() -> None:
    assert slots([LARGE, SMALL], Share(8)) == slots([SMALL, LARGE], Share(8))
