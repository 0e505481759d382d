"""Batches come back in order, whatever is lost, and no more of them are held than may be."""

import random

import pytest

from tandem.cluster.batches import MAX_LOST, Batches
from tandem.errors import ClusterError


@pytest.mark.parametrize("seed", range(20))
def test_rows_come_once_and_in_order_whatever_is_finished_or_lost_when(seed: int) -> None:
    rng = random.Random(seed)
    items = [[number, -number] for number in range(40)]
    run, computing, found, held = Batches[int](items), dict[int, list[int]](), list[list[int]](), 0
    while not run.is_finished:
        while (taken := run.take(6)) is not None:
            computing[taken[0]] = list(taken[1])
        held = max(held, len(computing))
        if computing:
            number = rng.choice(list(computing))
            batch = computing.pop(number)
            if rng.random() < 0.1:
                run.lose(number, "killed")
            else:
                run.finish(number, [item * 10 for item in batch])
        found += run.in_order()
    assert found == [[number * 10, -number * 10] for number in range(40)]
    assert held <= 6


def test_a_batch_that_is_lost_comes_before_all_others() -> None:
    run = Batches[str](["a", "b", "c"])
    assert (run.take(2), run.take(2), run.take(2)) == ((0, "a"), (1, "b"), None)
    run.finish(1, ["B"])
    assert list(run.in_order()) == []
    run.lose(0, "killed")
    assert run.take(2) == (0, "a")
    run.finish(0, ["A"])
    assert list(run.in_order()) == [["A"], ["B"]]
    assert run.take(2) == (2, "c")


def test_a_batch_that_ends_every_process_ends_the_run() -> None:
    run = Batches[str](["abcd"])
    for _ in range(MAX_LOST):
        run.take(1)
        run.lose(0, "out of memory")
    run.take(1)
    with pytest.raises(ClusterError, match=r"one batch of 4 was lost 4 times .* \(out of memory\), .* runtime.workers"):
        run.lose(0, "out of memory")


def test_nothing_to_compute_is_finished_once_that_is_known() -> None:
    run = Batches[str]([])
    assert run.take(1) is None
    assert run.is_finished
