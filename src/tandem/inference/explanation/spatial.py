"""An exported model in two: up to the last feature maps of its backbones, and from there to its probabilities.

Imports no torch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import shape_inference, utils

from tandem.inference.exported import PIXELS, PROBABILITIES
from tandem.inference.runtime import start_session

# The operators by which a backbone leaves its last feature map, (n, channels, height, width), for a vector.
_LEAVING = ("ReduceMean", "GlobalAveragePool", "AveragePool", "Reshape", "Flatten")


@dataclass(frozen=True, eq=False)
class SpatialModel:
    """names: of the values that hold the last feature maps, one a backbone. front, rest: sessions of ONNX Runtime.

    The rest may ask how many images there are, which it knows of the pixels alone.
    """

    names: tuple[str, ...]
    front: Any
    rest: Any

    def maps(self, pixels: np.ndarray) -> list[np.ndarray]:
        """(n, s, s, 3) uint8 to (n, channels, height, width) float32 for each backbone."""
        found: list[np.ndarray] = self.front.run(list(self.names), {PIXELS: pixels})
        return found

    def probs(self, maps: list[np.ndarray]) -> np.ndarray:
        """What the model makes of feature maps of n * tta_views: (n, C) float32."""
        sides = self.rest.get_inputs()[0].shape[1:]
        blank = np.zeros((len(maps[0]), *sides), dtype=np.uint8)
        feed = {PIXELS: blank, **dict(zip(self.names, maps, strict=True))}
        probs: np.ndarray = self.rest.run([PROBABILITIES], feed)[0]
        return probs


def split_at_maps(data: bytes, *, threads: int = 0) -> SpatialModel | None:
    """An exported model in two; None where one of its backbones ends without a feature map, as a transformer does."""
    extractor = utils.Extractor(shape_inference.infer_shapes(onnx.load_from_string(data)))
    graph = extractor.model.graph  # with the shapes of all values
    shapes = {value.name: _shape(value) for value in graph.value_info}
    names = tuple(_last_map(graph, backbone, shapes) for backbone in _backbones(graph))
    if not names or "" in names:
        return None
    front = extractor.extract_model([PIXELS], list(names))
    rest = extractor.extract_model([PIXELS, *names], [PROBABILITIES])
    sessions = (start_session(part.SerializeToString(), threads=threads) for part in (front, rest))
    return SpatialModel(names, *sessions)


def _backbones(graph: onnx.GraphProto) -> list[str]:
    """Their names: a backbone's nodes have names that begin with its own."""
    return list(dict.fromkeys(node.name.partition("/")[0] for node in graph.node if "/" in node.name))


def _last_map(graph: onnx.GraphProto, backbone: str, shapes: dict[str, list[int]]) -> str:
    """The name of the value that holds the last feature map; "" where there is none."""
    for node in reversed(graph.node):
        if node.name.startswith(f"{backbone}/") and node.op_type in _LEAVING:
            before, after = shapes.get(node.input[0], []), shapes.get(node.output[0], [])
            is_map = len(before) == 4 and before[2] > 1 and before[3] > 1
            if is_map and (len(after) == 2 or after[2:] == [1, 1]):
                return str(node.input[0])
    return ""


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes; 0 where one is not fixed, as the number of images."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
