"""Heads as the nodes of an ONNX graph. Values are named by the node that makes them.

Features are (n, k, D), of n images with k TTA views each, and logits (n, C).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from tandem.evaluation.metrics import SMALLEST_PROB
from tandem.ood.detector import SMALLEST_NORM, OodDetector
from tandem.training.fusion.fusion_head import FusionHead
from tandem.training.fusion.layers import EPSILON, projections_of, steps_of
from tandem.training.linear import Linear

OPSET, IR_VERSION = 18, 10


class GraphOutput(NamedTuple):
    """A float32 output of a model. name: what it is called. value: what holds it in the graph. dims: of its axes."""

    name: str
    value: str
    dims: tuple[str, ...] = ("n", "C")


class Graph:
    """Nodes and constants that grow, in the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes = list[onnx.NodeProto]()
        self.constants = list[onnx.TensorProto]()

    def add(self, operator: str, *inputs: str | np.ndarray, **attributes: Any) -> str:
        """The name of what an operator makes of values, by name, and of constants; these become float32 or int64."""
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], name=output, **attributes))
        return output

    def _constant(self, values: np.ndarray) -> str:
        array = np.asarray(values)
        kind = np.float32 if array.dtype.kind == "f" else np.int64
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, kind), name))
        return name

    def include(self, model: onnx.ModelProto, *, name: str) -> str:
        """Add another model of one output, under a name of its own; its output. Its inputs keep their names."""
        graph = as_part(model, name=name)
        self.nodes.extend(graph.node)
        self.constants.extend(graph.initializer)
        return str(graph.output[0].name)

    def model(self, inputs: Sequence[onnx.ValueInfoProto], *outputs: GraphOutput) -> onnx.ModelProto:
        """All of it as a model."""
        self.nodes += [helper.make_node("Identity", [each.value], [each.name], name=each.name) for each in outputs]
        shaped = [helper.make_tensor_value_info(each.name, onnx.TensorProto.FLOAT, each.dims) for each in outputs]
        return as_model(self.nodes, inputs, shaped, self.constants)


def as_part(model: onnx.ModelProto, *, name: str) -> onnx.GraphProto:
    """A model's graph as a part of another: its names, but for those of its inputs, begin with `name/`."""
    return compose.add_prefix(model, f"{name}/", rename_inputs=False).graph


def as_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto],
) -> onnx.ModelProto:
    """Nodes, in the order in which they are computed, as a model."""
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def linear(graph: Graph, features: str, head: Linear) -> str:
    """(..., D) to (..., C) logits by a linear head."""
    standardized = graph.add("Div", graph.add("Sub", features, head.mean), head.std)
    return graph.add("Add", graph.add("MatMul", standardized, head.weight.T), head.bias)


def fusion(graph: Graph, features: str, head: FusionHead) -> str:
    """(..., D) to (..., C) logits by a network of feature fusion."""
    values = graph.add("Div", graph.add("Sub", features, head.mean), head.std)
    ends = np.cumsum(head.shape.dims)
    parts = [
        graph.add("Slice", values, np.array([end - dim]), np.array([end]), np.array([-1]))
        for end, dim in zip(ends, head.shape.dims, strict=True)
    ]
    values = side_by_side(
        graph,
        [
            graph.add("Add", graph.add("MatMul", part, weight), bias)
            for part, (weight, bias) in zip(parts, projections_of(head.arrays), strict=True)
        ],
    )
    for number, (gain, shift, weight, bias) in enumerate(steps_of(head.arrays)):
        values = graph.add("Relu", values) if number else values
        values = graph.add("LayerNormalization", values, gain, shift, axis=-1, epsilon=EPSILON)
        values = graph.add("Add", graph.add("MatMul", values, weight), bias)
    return values


def mean_over_views(graph: Graph, logits: str) -> str:
    """(n, k, C) to (n, C)."""
    return graph.add("ReduceMean", logits, np.array([1]), keepdims=0)


def side_by_side(graph: Graph, values: Sequence[str]) -> str:
    """Values joined along their last axis."""
    return values[0] if len(values) == 1 else graph.add("Concat", *values, axis=-1)


def mean_of_probs(graph: Graph, logits: Sequence[str], weights: Sequence[float], temperature: float) -> str:
    """The log of the weighted mean of the probs of some logits (n, C), divided by a temperature: logits again."""
    parts = [
        graph.add("Mul", graph.add("Softmax", each, axis=-1), np.array(weight))
        for each, weight in zip(logits, weights, strict=True)
    ]
    clipped = graph.add("Max", graph.add("Sum", *parts), np.array(SMALLEST_PROB))
    return graph.add("Div", graph.add("Log", clipped), np.array(temperature))


def ood_score(graph: Graph, features: Sequence[str], detectors: Sequence[OodDetector]) -> str:
    """(n,) the mean over backbones of the distance to their nearest class mean. features: a value a backbone."""
    parts = []
    for values, detector in zip(features, detectors, strict=True):
        norms = graph.add("Max", graph.add("ReduceL2", values, np.array([-1]), keepdims=1), np.array(SMALLEST_NORM))
        unit = mean_over_views(graph, graph.add("Div", values, norms))
        nearest = graph.add("ReduceMax", graph.add("MatMul", unit, detector.means.T), np.array([1]), keepdims=0)
        distance = graph.add("Sub", np.array(1 - detector.center), nearest)
        parts.append(graph.add("Div", distance, np.array(detector.scale)))
    return graph.add("Mean", *parts)
