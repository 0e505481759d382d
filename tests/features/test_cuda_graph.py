"""A function as a CUDA graph, where there is a CUDA device."""

import pytest
import torch
from torch import nn

from tandem.features.cuda_graph import WARM_UP, GraphedCallable

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")


def test_a_graph_gives_what_the_function_gives_before_and_after_its_capture() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).cuda().requires_grad_(False)
    graphed, num_calls = GraphedCallable(net), 2 * WARM_UP + 2
    for inputs in torch.randn(num_calls, 5, 8, device="cuda"):
        assert torch.equal(graphed(inputs), net(inputs))


def test_a_graph_counts_on_where_the_function_stopped() -> None:
    total = torch.zeros((), device="cuda")

    def count(number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return total.add_(number), number * 2

    graphed = GraphedCallable(count)
    found = [[float(part) for part in graphed(torch.tensor(1.0, device="cuda"))] for _ in range(2 * WARM_UP)]
    assert found == [[number + 1, 2] for number in range(2 * WARM_UP)]
