"""A small classifier as a graph, for tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from tandem.inference import graph as nodes
from tandem.inference.exported import OOD_SCORE, PIXELS, PROBABILITIES, ModelCard
from tandem.inference.graph import Graph, GraphOutput
from tandem.ood.detector import OodDetector
from tandem.training.linear import Linear

# of colors_model: an image of one color has a distance of -1, a gray one of 3.2
DETECTOR = OodDetector(np.eye(3, dtype=np.float32), center=0.1, scale=0.1)
CARD = ModelCard(
    model="colors",
    class_names=("red", "green", "blue"),
    size_px=16,
    resize="squash",
    interpolation="bilinear",
    tta_views=2,
    temperature=1.5,
    reject_threshold=0.9,
    set_threshold=0.2,
    ood_threshold=1.0,
    provenance={"licences": {"web": "CC BY 4.0"}},
)


def pooled_model(filters: dict[str, np.ndarray], head: Linear, *, num_views: int) -> onnx.ModelProto:
    """Backbones by name, each the mean over a map of 4 x 4 cells, and a linear head on their features side by side.

    filters: (channels, 3, 4, 4) of a convolution by steps of 4 px, with the sign of its result cut off below 0.
    """
    graph = Graph()
    values = [
        graph.add("Reshape", graph.include(pooled(each), name=name), np.array([-1, num_views, len(each)]))
        for name, each in filters.items()
    ]
    logits = nodes.mean_over_views(graph, nodes.linear(graph, nodes.side_by_side(graph, values), head))
    images = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["views", 16, 16, 3])
    score = nodes.ood_score(graph, values, [OodDetector(np.eye(3, len(each)), 0.5, 0.2) for each in filters.values()])
    return graph.model([images], *_outputs(graph.add("Softmax", logits, axis=-1), score))


def pooled(filters: np.ndarray) -> onnx.ModelProto:
    """A backbone of pooled_model as a graph of its own."""
    graph = Graph()
    pixels = graph.add("Transpose", graph.add("Cast", PIXELS, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    cells = graph.add("Relu", graph.add("Conv", pixels, filters, strides=[4, 4]))
    features = graph.add("Flatten", graph.add("GlobalAveragePool", cells))
    images = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["n", 16, 16, 3])
    return graph.model([images], GraphOutput("features", features))


def colors_model(*, num_views: int, seen: np.ndarray | None = None) -> onnx.ModelProto:
    """Which color an image has most of, by the mean of each color from 0 to 1. seen: (16, 16) 0 where it is blind."""
    graph = Graph()
    pixels = graph.add("Cast", PIXELS, to=TensorProto.FLOAT)
    if seen is not None:
        pixels = graph.add("Mul", pixels, seen[..., None].astype(float))
    means = graph.add("ReduceMean", pixels, np.array([1, 2]), keepdims=0)
    features = graph.add("Reshape", graph.add("Div", means, np.array(255.0)), np.array([-1, num_views, 3]))
    head = Linear(np.zeros(3), np.ones(3), 8 * np.eye(3), np.zeros(3))
    probs = graph.add("Softmax", nodes.mean_over_views(graph, nodes.linear(graph, features, head)), axis=-1)
    images = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["views", 16, 16, 3])
    return graph.model([images], *_outputs(probs, nodes.ood_score(graph, [features], [DETECTOR])))


def _outputs(probs: str, score: str) -> tuple[GraphOutput, GraphOutput]:
    return GraphOutput(PROBABILITIES, probs), GraphOutput(OOD_SCORE, score, ("n",))
