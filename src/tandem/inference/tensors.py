"""An exported model as safetensors and JSON, for programs that read no ONNX: weights by name, and their graph.

The JSON is the ONNX graph, as protobuf writes it, without its weights. Together they hold all that the ONNX file holds.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.numpy import load_file, save

from tandem.files import atomic_file, read_json, write_text
from tandem.inference.exported import CARD

if TYPE_CHECKING:
    import onnx


def save_tensors(exported: Path, path: Path) -> None:
    """Write the weights of an exported file to `path` and its graph beside it, as .json; each whole or not at all.

    What the file says of itself is in the metadata of the weights (CARD alone: of several entries safetensors shuffles
    the order, and with it the bytes) and, with its digest, in the JSON's `metadata_props`.
    """
    import onnx
    from google.protobuf import json_format
    from onnx import numpy_helper

    model = onnx.load(exported)
    said = {entry.key: entry.value for entry in model.metadata_props}
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(weights, {CARD: said[CARD]}))  # save_file's own error of a full disk has no number
    del model.graph.initializer[:]
    graph = json_format.MessageToDict(model, preserving_proto_field_name=True)
    write_text(path.with_suffix(".json"), json.dumps(graph, indent=1, ensure_ascii=False) + "\n")


def load_tensors(path: Path) -> "onnx.ModelProto":
    """The model whose weights and graph save_tensors wrote."""
    import onnx
    from google.protobuf import json_format
    from onnx import numpy_helper

    model = json_format.ParseDict(read_json(path.with_suffix(".json")), onnx.ModelProto())
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in load_file(path).items())
    return model
