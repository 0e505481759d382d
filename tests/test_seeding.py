"""Randomness comes from the seed and leaves no trace; nor do threads and flags."""

from collections.abc import Iterator

import pytest
import torch

from tandem.seeding import deterministic_cudnn, seeded, single_threaded


@pytest.fixture(params=[1, 2])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    numbers = []
    for seed in (3, 3, 4):
        with seeded(seed):
            numbers.append(torch.rand(5).tolist())
    assert numbers[0] == numbers[1] != numbers[2]


def test_inside_the_block_the_numbers_are_those_of_a_generator_of_that_seed() -> None:
    with seeded(7):
        numbers = torch.randn(100)
    assert torch.equal(numbers, torch.randn(100, generator=torch.Generator().manual_seed(7)))


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_on_cuda_the_device_s_generator_is_seeded_and_restored_too() -> None:
    device = torch.device("cuda")
    before, numbers = torch.cuda.get_rng_state(), []
    for _ in range(2):
        with seeded(3, device):
            numbers.append(torch.rand(5, device=device).tolist())
    assert numbers[0] == numbers[1]
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_cudnn_is_deterministic_inside_the_block_alone() -> None:
    before = torch.backends.cudnn.deterministic
    with deterministic_cudnn():
        assert torch.backends.cudnn.deterministic
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.deterministic == before


def test_inside_the_block_there_is_one_thread_and_afterwards_as_many_as_before(num_threads: int) -> None:
    with single_threaded():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == num_threads


def test_an_error_inside_the_block_restores_the_threads_too(num_threads: int) -> None:
    with pytest.raises(KeyError), single_threaded():
        raise KeyError
    assert torch.get_num_threads() == num_threads
