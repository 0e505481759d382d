"""Randomness comes from the seed and leaves no trace; nor do threads."""

from collections.abc import Iterator

import pytest
import torch

from tandem.seeding import one_thread, seeded


@pytest.fixture(params=[1, 2])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_the_same_seed_draws_the_same_and_another_seed_something_else() -> None:
    drawn = []
    for seed in (3, 3, 4):
        with seeded(seed):
            drawn.append(torch.rand(5).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_inside_the_block_the_numbers_are_those_of_a_generator_of_that_seed() -> None:
    with seeded(7):
        drawn = torch.randn(100)
    assert torch.equal(drawn, torch.randn(100, generator=torch.Generator().manual_seed(7)))


def test_the_global_generator_goes_on_as_if_nothing_had_been() -> None:
    before = torch.get_rng_state()
    with seeded(1):
        torch.rand(10)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_inside_the_block_restores_the_generator_too() -> None:
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(1):
        torch.rand(10)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_inside_the_block_there_is_one_thread_and_afterwards_as_many_as_before(num_threads: int) -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == num_threads


def test_an_error_inside_the_block_restores_the_threads_too(num_threads: int) -> None:
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == num_threads
