"""MLPs, which torch trained and saved as arrays, as the nodes of an ONNX graph. No torch.

Which layers an MLP has, and so the names of its arrays, is said by tandem.training.networks.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.files import load_arrays, reading
from tandem.inference.graph import Graph

_MEAN, _STD, _TEMPERATURE = "head.0.mean", "head.0.std", "temperature"
_LAYERS = ("head.2", "head.5")  # with ReLU between


class SavedNetwork(NamedTuple):
    """arrays: float32, by their names in its state dict."""

    arrays: Mapping[str, np.ndarray]

    def affine(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias of a layer."""
        return self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]

    def expected_shapes(self, dim: int, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Of each array, by the size of the hidden layer's bias."""
        first, last = _LAYERS
        width = len(np.atleast_1d(self.affine(first)[1]))
        shapes: dict[str, tuple[int, ...]] = {_MEAN: (dim,), _STD: (dim,), _TEMPERATURE: ()}
        shapes |= {f"{first}.weight": (width, dim), f"{first}.bias": (width,)}
        return shapes | {f"{last}.weight": (num_classes, width), f"{last}.bias": (num_classes,)}


def read_head(path: Path, *, dim: int, num_classes: int) -> SavedNetwork:
    """What NetworkHead.save wrote. dim: of the features.

    Raises DamagedFileError, also where it is of other backbones or classes.
    """
    names = [_MEAN, _STD, _TEMPERATURE, *(f"{layer}.{part}" for layer in _LAYERS for part in ("weight", "bias"))]
    head = SavedNetwork(dict(zip(names, load_arrays(path, names), strict=True)))
    with reading(path):
        if {name: array.shape for name, array in head.arrays.items()} != head.expected_shapes(dim, num_classes):
            raise ValueError("its arrays do not fit one another, or are of other backbones or classes")
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in head.arrays.values()):
            raise ValueError("its arrays are not finite float32")
    return head


def add_network(head: SavedNetwork, graph: Graph, values: str) -> str:
    """What a head makes of values (..., D): logits (..., C)."""
    values = graph.add("Div", graph.add("Sub", values, head.arrays[_MEAN]), head.arrays[_STD])
    for number, layer in enumerate(_LAYERS):
        weight, bias = head.affine(layer)
        values = graph.add("Relu", values) if number else values
        values = graph.add("Add", graph.add("MatMul", values, weight.T), bias)
    return graph.add("Div", values, head.arrays[_TEMPERATURE])
