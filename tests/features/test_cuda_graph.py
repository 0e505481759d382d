"""A function as a CUDA graph, where there is a CUDA device."""

import pytest
import torch
from torch import nn

from tandem.features.cuda_graph import WARM_UP, GraphedCallable

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")


def test_a_replay_gives_what_the_function_gives_before_and_after_it_is_a_graph() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).cuda().requires_grad_(False)
    replay, calls = GraphedCallable(net), 2 * WARM_UP + 2
    for x in torch.randn(calls, 5, 8, device="cuda"):
        assert torch.equal(replay(x), net(x))


def test_a_replay_counts_on_where_the_function_stopped() -> None:
    total = torch.zeros((), device="cuda")

    def count(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return total.add_(x), x * 2

    replay = GraphedCallable(count)
    found = [[float(part) for part in replay(torch.tensor(1.0, device="cuda"))] for _ in range(2 * WARM_UP)]
    assert found == [[number + 1, 2] for number in range(2 * WARM_UP)]
