"""Feature fusion's layers against the same ones of torch, forward and backward."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tandem.training.fusion.layers import NUM_STEPS, FusionShape, Passed, fused_logits, write_gradients

SHAPE = FusionShape((6, 9), 8, 3)
RNG = np.random.default_rng(0)


class OfTorch(nn.Module):
    """The layers of the recipe that this project began from, with given factors in the place of dropout."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.dims = list(shape.dims)
        self.projections = nn.ModuleList(nn.Linear(dim, shape.width) for dim in shape.dims)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in shape.sizes[:NUM_STEPS])
        self.linears = nn.ModuleList(nn.Linear(one, other) for one, other in pairwise(shape.sizes))

    def forward(self, features: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
        parts = zip(self.projections, features.split(self.dims, dim=1), strict=True)
        values = torch.cat([project(part) for project, part in parts], dim=1)
        for number, (norm, linear, mask) in enumerate(zip(self.norms, self.linears, masks, strict=True)):
            values = linear(norm(values if number == 0 else values.relu()) * mask)
        return values

    def arrays(self) -> list[nn.Parameter]:
        projections = [part for layer in self.projections for part in (layer.weight, layer.bias)]
        pairs = zip(self.norms, self.linears, strict=True)
        steps = [part for norm, linear in pairs for part in (norm.weight, norm.bias, linear.weight, linear.bias)]
        return [*projections, *steps]

    def read(self, arrays: list[np.ndarray]) -> None:
        with torch.no_grad():
            for parameter, array in zip(self.arrays(), arrays, strict=True):
                parameter.copy_(torch.from_numpy(array.T))


@pytest.mark.parametrize("num_networks", [1, 3])
@pytest.mark.parametrize("dims", [(6, 9), (15,), (3, 7, 5)])
def test_logits_and_gradients_are_those_of_torch(num_networks: int, dims: tuple[int, ...]) -> None:
    shape = SHAPE._replace(dims=dims)
    weights, gradients = RNG.normal(size=(2, num_networks, shape.num_weights)).astype(np.float32)
    inputs = RNG.normal(size=(num_networks, 5, sum(dims))).astype(np.float32)
    masks = [RNG.integers(0, 2, (num_networks, 5, size)).astype(np.float32) * 2 for size in shape.sizes[:NUM_STEPS]]
    residual = RNG.normal(size=(num_networks, 5, 3)).astype(np.float32)
    passed = list[Passed]()
    logits = fused_logits(shape.split(weights), inputs, masks, passed)
    write_gradients(shape.split(weights), shape.split(gradients), inputs, masks, passed, residual)
    for number in range(num_networks):
        net = OfTorch(shape)
        net.read([array[number] for array in shape.split(weights)])
        expected = net(torch.from_numpy(inputs[number]), [torch.from_numpy(mask[number]) for mask in masks])
        expected.backward(torch.from_numpy(residual[number]))
        np.testing.assert_allclose(logits[number], expected.detach(), rtol=1e-3, atol=1e-4)
        for gradient, parameter in zip(shape.split(gradients), net.arrays(), strict=True):
            assert parameter.grad is not None
            np.testing.assert_allclose(gradient[number].T, parameter.grad, rtol=1e-3, atol=2e-3)


def test_without_masks_nothing_is_dropped() -> None:
    weights = RNG.normal(size=(1, SHAPE.num_weights)).astype(np.float32)
    inputs = RNG.normal(size=(1, 4, 15)).astype(np.float32)
    ones = [np.ones((1, 4, size), np.float32) for size in SHAPE.sizes[:NUM_STEPS]]
    assert (fused_logits(SHAPE.split(weights), inputs) == fused_logits(SHAPE.split(weights), inputs, ones)).all()


def test_the_arrays_of_a_row_are_views_of_it() -> None:
    weights = np.zeros((2, SHAPE.num_weights), np.float32)
    arrays = SHAPE.split(weights)
    assert [array.shape for array in arrays] == [(2, *shape) for shape in SHAPE.arrays]
    for array in arrays:
        array[:] = 1
    assert weights.all()
