"""Network heads, which torch trained and saved as arrays, as the nodes of an ONNX graph. No torch.

Which layers a head has, and so the names of its arrays, is said by tandem.training.networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.files import load_arrays, reading
from tandem.inference.graph import Graph, side_by_side

_EPSILON = 1e-5  # of torch's LayerNorm
_MEAN, _STD, _TEMPERATURE = "head.0.mean", "head.0.std", "temperature"
_MLP = ("head.2", "head.5")
_FUSION_NORMS = tuple(f"head.1.steps.{number}" for number in (0, 4, 8))
_FUSION_LAYERS = tuple(f"head.1.steps.{number}" for number in (2, 6, 10))


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """A network head. arrays: float32, by their names in its state dict. dims: of its backbones.

    projections: names of one linear layer a backbone, where features are fused. norms: of what comes before each of
    the layers, if any. layers: of linear ones, with ReLU between.
    """

    arrays: Mapping[str, np.ndarray]
    dims: Sequence[int]
    projections: Sequence[str]
    norms: Sequence[str]
    layers: Sequence[str]

    def affine(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias of a layer or a norm."""
        return self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]

    def expected_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Of each array, by the sizes of the biases."""
        widths = {name: len(np.atleast_1d(self.affine(name)[1])) for name in (*self.projections, *self.layers)}
        widths[self.layers[-1]] = num_classes
        fed = sum(widths[name] for name in self.projections) or sum(self.dims)
        sizes = [fed, *(widths[name] for name in self.layers)]
        shapes: dict[str, tuple[int, ...]] = {_MEAN: (sum(self.dims),), _STD: (sum(self.dims),), _TEMPERATURE: ()}
        linear = [*zip(self.projections, self.dims, strict=False), *zip(self.layers, sizes, strict=False)]
        for name, fan_in in linear:
            shapes |= {f"{name}.weight": (widths[name], fan_in), f"{name}.bias": (widths[name],)}
        for name, size in zip(self.norms, sizes, strict=False):
            shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
        return shapes


def read_head(path: Path, *, dims: Sequence[int], num_classes: int, is_fusion: bool) -> SavedNetwork:
    """What NetworkHead.save wrote. dims: of the backbones. is_fusion: it is a FusionHead; if not, an MLP.

    Raises DamagedFileError, also where it is of other backbones or classes.
    """
    projections = [f"head.1.projections.{number}" for number in range(len(dims))] if is_fusion else []
    norms, layers = (_FUSION_NORMS, _FUSION_LAYERS) if is_fusion else ((), _MLP)
    affine = [f"{name}.{part}" for name in (*projections, *norms, *layers) for part in ("weight", "bias")]
    names = [_MEAN, _STD, _TEMPERATURE, *affine]
    head = SavedNetwork(dict(zip(names, load_arrays(path, names), strict=True)), dims, projections, norms, layers)
    with reading(path):
        if {name: array.shape for name, array in head.arrays.items()} != head.expected_shapes(num_classes):
            raise ValueError("its arrays do not fit one another, or are of other backbones or classes")
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in head.arrays.values()):
            raise ValueError("its arrays are not finite float32")
    return head


def add_network(head: SavedNetwork, graph: Graph, values: str) -> str:
    """What a head makes of values (..., sum of dims): logits (..., C)."""
    values = graph.add("Div", graph.add("Sub", values, head.arrays[_MEAN]), head.arrays[_STD])
    if head.projections:
        values = _projected(head, graph, values)
    for number, layer in enumerate(head.layers):
        if number:
            values = graph.add("Relu", values)
        if head.norms:
            weight, bias = head.affine(head.norms[number])
            values = graph.add("LayerNormalization", values, weight, bias, axis=-1, epsilon=_EPSILON)
        values = _linear(head, layer, graph, values)
    return graph.add("Div", values, head.arrays[_TEMPERATURE])


def _projected(head: SavedNetwork, graph: Graph, values: str) -> str:
    """The features of each backbone by a layer of its own, side by side."""
    ends = np.cumsum(head.dims)
    parts = [
        graph.add("Slice", values, np.array([end - dim]), np.array([end]), np.array([-1]))
        for end, dim in zip(ends, head.dims, strict=True)
    ]
    pairs = zip(head.projections, parts, strict=True)
    return side_by_side(graph, [_linear(head, name, graph, part) for name, part in pairs])


def _linear(head: SavedNetwork, name: str, graph: Graph, values: str) -> str:
    weight, bias = head.affine(name)
    return graph.add("Add", graph.add("MatMul", values, weight.T), bias)
