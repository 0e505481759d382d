"""Network heads, which torch trained and saved, as the nodes of an ONNX graph. Imports torch."""

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tandem.features.backbones.weights import restore
from tandem.inference.graph import Graph, side_by_side
from tandem.training.networks import FusionHead, Standardize, TemperatureScaled, feature_head, mlp_head


def read_head(path: Path, *, dims: Sequence[int], num_classes: int, width: int | None) -> nn.Module:
    """What training.heads.save_head wrote. dims: of the backbones. width: of a FusionHead; None is an MLP."""
    features = torch.zeros(1, sum(dims))
    if width is None:
        network = mlp_head(features, num_classes, dropout=0, seed=0)
    else:
        network = feature_head(features, num_classes, dims=dims, width=width, dropout=0, seed=0)
    head = TemperatureScaled(network, 1.0)
    restore(head, path)
    return head.eval()


@singledispatch
def add_network(module: nn.Module, graph: Graph, values: str) -> str:
    """What a module in eval mode makes of values (..., D). Raises TypeError for a module that no head has."""
    raise TypeError(f"no ONNX nodes are known for {type(module).__name__}; add them to {__name__}")


@add_network.register
def _(module: nn.Sequential, graph: Graph, values: str) -> str:
    for step in module:
        values = add_network(step, graph, values)
    return values


@add_network.register
def _(_module: nn.Dropout, _graph: Graph, values: str) -> str:
    return values


@add_network.register
def _(_module: nn.ReLU, graph: Graph, values: str) -> str:
    return graph.add("Relu", values)


@add_network.register
def _(module: nn.Linear, graph: Graph, values: str) -> str:
    return graph.add("Add", graph.add("MatMul", values, _array(module.weight).T), _array(module.bias))


@add_network.register
def _(module: nn.LayerNorm, graph: Graph, values: str) -> str:
    weight, bias = _array(module.weight), _array(module.bias)
    return graph.add("LayerNormalization", values, weight, bias, axis=-1, epsilon=module.eps)


@add_network.register
def _(module: Standardize, graph: Graph, values: str) -> str:
    return graph.add("Div", graph.add("Sub", values, _array(module.mean)), _array(module.std))


@add_network.register
def _(module: TemperatureScaled, graph: Graph, values: str) -> str:
    return graph.add("Div", add_network(module.head, graph, values), _array(module.temperature))


@add_network.register
def _(module: FusionHead, graph: Graph, values: str) -> str:
    ends = np.cumsum(module.dims)
    parts = [
        graph.add("Slice", values, np.array([end - dim]), np.array([end]), np.array([-1]))
        for end, dim in zip(ends, module.dims, strict=True)
    ]
    projected = [add_network(project, graph, part) for project, part in zip(module.projections, parts, strict=True)]
    return add_network(module.steps, graph, side_by_side(graph, projected))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()
