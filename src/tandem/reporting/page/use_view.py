"""The page's part on the model file: how large, how fast, and whether it predicts what was scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx

from tandem.reporting.facts import RunFacts
from tandem.reporting.page.tables import NOTHING, Row, Table, count, file_size
from tandem.reporting.speed import BATCH_SIZE, Speed

_RESIZED = {"squash": "squashed", "crop": "central square"}
_WEIGHTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class UseView:
    """What the template shows of the file that is handed out. speed: None where it was not measured."""

    size: Table
    speed: Table | None
    parity: Table


def use_view(facts: RunFacts, speed: Speed | None) -> UseView:
    """All of it, read off the file, but for its speed."""
    return UseView(
        size=_size_table(facts),
        speed=None if speed is None else _speed_table(speed),
        parity=_parity_table(facts.metrics.export),
    )


def num_parameters(model: onnx.ModelProto) -> int:
    """Numbers that the graph holds, its constants among them."""
    return sum(prod(each.dims) for each in model.graph.initializer)


def num_multiply_adds(model: onnx.ModelProto) -> int | None:
    """Of convolutions and matrix products, for one image; None where a shape cannot be inferred."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        each.name: [dim.dim_value or 1 for dim in each.type.tensor_type.shape.dim]
        for each in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    weights = {each.name: list(each.dims) for each in inferred.initializer}
    total = 0
    for node in (each for each in inferred.node if each.op_type in _WEIGHTED):
        shape = shapes.get(node.output[0])
        weight = weights.get(node.input[1]) or shapes.get(node.input[1])
        if not shape or not weight:
            return None
        total += prod(shape) * _products(node, weight)
    return total


def _products(node: onnx.NodeProto, weight: list[int]) -> int:
    """Multiplications that one number of the output takes."""
    if node.op_type == "Conv":
        return prod(weight[1:])
    is_turned = any(each.name == "transB" and each.i for each in node.attribute)
    return weight[-1] if is_turned else weight[-2] if len(weight) > 1 else weight[0]


def _size_table(facts: RunFacts) -> Table:
    card, model = facts.exported.card, onnx.load_model_from_string(facts.exported.data)
    products = num_multiply_adds(model)
    weights = facts.model_path.with_suffix(".safetensors")
    rows: list[Row] = [
        [facts.model_path.name, file_size(len(facts.exported.data))],
        [weights.name, file_size(weights.stat().st_size) if weights.is_file() else NOTHING],
        ["numbers in it (weights)", count(num_parameters(model))],
        [
            "multiply-adds an image",
            NOTHING if products is None else f"{count(products * card.tta_views / 1e6)} million",
        ],
        ["input", f"{card.size_px} × {card.size_px} px, {_RESIZED[card.resize]}, {card.interpolation}"],
        ["views of an image", count(card.tta_views)],
    ]
    return Table("The file that is handed out", ["", "value"], rows, "export/")


def _speed_table(speed: Speed) -> Table:
    times = {
        "one image after the other": speed.single,
        f"{BATCH_SIZE} images at a time": speed.batched,
        f"{BATCH_SIZE} images at a time, by --fast": speed.batched_fast,
    }
    rows: list[Row] = [[words, NOTHING if ms is None else f"{ms:.1f}"] for words, ms in times.items()]
    note = (
        f"Measured while this was written, on {speed.processor}, {speed.num_cores} cores: decoding, scaling and the "
        f"model, for {count(speed.num_images)} test images as they are stored; medians."
    )
    return Table("How long tandem predict takes", ["", "ms an image"], rows, "export/", note=note)


def _parity_table(export: Mapping[str, Any]) -> Table:
    names = {
        "difference_to_fp32": "torch in fp32",
        "difference_to_scored": "the predictions that were scored",
    }
    rows: list[Row] = [
        [words, f"{found['largest']:.2g}", count(found["changed_classes"]), count(found["images"])]
        for words, found in ((words, export[key]) for key, words in names.items())
    ]
    return Table(
        "Held against other ways to the same prediction",
        ["against", "largest difference of a probability", "other class", "images"],
        rows,
        "export.json",
    )
