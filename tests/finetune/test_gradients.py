"""The gradient of a batch from its micro-batches, against torch's own; test_processes.py has it of two processes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from tandem.finetune.parallel.gradients import BatchGradient, micro_batch_seed
from tandem.finetune.parallel.processes import ALONE

CPU = torch.device("cpu")


def network(*, dropout: float = 0.0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(4), nn.Dropout(dropout)
        return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2)).train()


def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 6, 6, generator=generator), torch.eye(2)[torch.arange(count) % 2]


def gradient_of(net: nn.Module) -> BatchGradient:
    net(batch(2)[0])  # which makes its lazy layer
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()

    def loss(pixels: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = net(pixels)
        return functional.cross_entropy(logits, targets), (logits.argmax(1) == targets.argmax(1)).float().mean()

    return BatchGradient(loss, list(net.parameters()), [net], processes=ALONE, device=CPU)


def micro_batches(count: int, parts: int) -> list[torch.Tensor]:
    pixels, targets = batch(count)
    return [each for pair in zip(pixels.tensor_split(parts), targets.tensor_split(parts), strict=True) for each in pair]


@pytest.mark.parametrize(("count", "parts"), [(6, 1), (6, 3), (7, 2)])
def test_it_is_the_mean_over_all_images_with_batch_norm_s_statistics_of_each_part(count: int, parts: int) -> None:
    net = network()
    gradient = gradient_of(net)
    expected, statistics, loss = copy.deepcopy(net), [], 0.0
    expected.zero_grad()
    for pixels, targets in zip(*(each.tensor_split(parts) for each in batch(count)), strict=True):
        fresh = copy.deepcopy(net)
        part = functional.cross_entropy(fresh(pixels), targets) * (len(pixels) / count)
        part.backward()
        loss += part.item()
        statistics.append(fresh[1].running_mean * (len(pixels) / count))
        for parameter, other in zip(expected.parameters(), fresh.parameters(), strict=True):
            parameter.grad = other.grad if parameter.grad is None else parameter.grad + other.grad
    gradient.sum_up(micro_batches(count, parts), num_images=count, count=parts, seeds=range(parts))
    found, _ = gradient.finish()
    assert found.item() == pytest.approx(loss, abs=1e-6)
    for parameter, other in zip(net.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(parameter.grad, other.grad, atol=1e-6)
        assert parameter.grad.stride() == parameter.stride()
    assert torch.allclose(net[1].running_mean, sum(statistics), atol=1e-6)
    assert int(net[1].num_batches_tracked) == 1


def test_one_part_is_torch_s_backward_to_the_last_bit() -> None:
    net = network()
    gradient = gradient_of(net)
    other = copy.deepcopy(net)
    other.zero_grad()
    pixels, targets = batch(8)
    functional.cross_entropy(other(pixels), targets).backward()
    gradient.sum_up([pixels, targets], num_images=8, count=1, seeds=[0])
    gradient.finish()
    assert all(torch.equal(one.grad, two.grad) for one, two in zip(net.parameters(), other.parameters(), strict=True))
    assert torch.equal(net[1].running_var, other[1].running_var)


def test_dropout_is_of_the_seed_of_a_micro_batch_and_of_nothing_that_was_drawn_before() -> None:
    net = network(dropout=0.5)
    gradient, parts, found = gradient_of(net), micro_batches(8, 2), []
    for seeds in ([1, 2], [1, 2], [1, 3]):
        gradient.sum_up(parts, num_images=8, count=2, seeds=seeds)
        found.append(net[4].weight.grad.clone())
        torch.rand(3)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_each_micro_batch_of_each_step_has_a_seed_of_its_own() -> None:
    seeds = {
        micro_batch_seed(seed, epoch=epoch, batch=number, number=part)
        for seed in range(2) for epoch in range(3) for number in range(4) for part in range(5)
    }  # fmt: skip
    assert len(seeds) == 2 * 3 * 4 * 5
