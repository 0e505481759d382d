"""An exported model taken apart: the graphs of its backbones, held against those that were converted, and its heads."""

from collections.abc import Callable, Sequence

import onnx
from onnx import TensorProto, helper

from tandem.errors import DataError
from tandem.inference.converted import FEATURES
from tandem.inference.graph import as_model, as_part


def heads_of(
    model: onnx.ModelProto, backbones: Sequence[str], graph_of: Callable[[str], onnx.ModelProto]
) -> onnx.ModelProto:
    """The heads of an exported model as one: features (n * k, D) of each backbone that it reads to its output.

    backbones: all names. graph_of: name -> the graph that was converted. The inputs have the names of feature_input.
    Raises DataError where the model holds other nodes or weights of a backbone than its graph does.
    """
    nodes, weights, inputs = list(model.graph.node), list(model.graph.initializer), list[onnx.ValueInfoProto]()
    for name in backbones:
        own_nodes = [node for node in nodes if node.output[0].startswith(f"{name}/")]
        own_weights = [each for each in weights if each.name.startswith(f"{name}/")]
        if own_nodes:
            graph = as_part(graph_of(name), name=name)
            if own_nodes != list(graph.node) or own_weights != list(graph.initializer):
                raise DataError(f"the exported model has another graph of {name} than was converted; run `dvc repro`")
            inputs.append(helper.make_tensor_value_info(feature_input(name), TensorProto.FLOAT, ["views", "D"]))
            nodes = [node for node in nodes if not node.output[0].startswith(f"{name}/")]
            weights = [each for each in weights if not each.name.startswith(f"{name}/")]
    return as_model(nodes, inputs, model.graph.output, weights)


def feature_input(name: str) -> str:
    """What the features of a backbone are called in an exported model."""
    return f"{name}/{FEATURES}"
