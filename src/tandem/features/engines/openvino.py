"""Images to features, or to what an ONNX graph makes of them, by OpenVINO on the CPU: in bf16 where it has that.

The only module that knows OpenVINO, which is imported when it computes, and torch when it converts a network of its.
"""

import platform
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from tandem.features.engines.base import Engine

if TYPE_CHECKING:
    import torch
    from torch import nn

_MAX_BATCH_SIZE = 4  # images that are computed on one core: the maps of more leave its cache
_IN_FLIGHT = 2  # requests a stream, so that none is idle while this thread waits for images or for its turn
_SHORT_SUM = 32  # products that a value of a convolution is the sum of; the rounding of so few does not average out
_NUM_EXACT = 3  # convolutions of short sums that are computed twice, the first ones


def has_openvino() -> bool:
    """Whether it is installed, and faster than others on this processor."""
    return bool(find_spec("openvino")) and platform.machine() in ("x86_64", "AMD64")


def openvino_engine(net: "nn.Module", _device: "torch.device", *, size_px: int, batch_size: int) -> Engine:
    """net: (n, size_px, size_px, 3) uint8 to features. Raises RuntimeError where it cannot be converted."""
    import torch

    openvino = _import_openvino()
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it traces by torch.jit, which torch calls deprecated
        # tracing a second time, to compare, took most of the conversion; features are compared anyway
        traced = TorchScriptPythonDecoder(net.cpu(), example_input=example, trace_kwargs={"check_trace": False})
        model = openvino.convert_model(traced, example_input=example)
    return _start(model, size_px=size_px, num_images=min(batch_size, _MAX_BATCH_SIZE))


def graph_engine(data: bytes, *, size_px: int, tta_views: int) -> Engine:
    """An ONNX graph with one input, (n * tta_views, size_px, size_px, 3) uint8, and outputs (n, ...), side by side.

    The views of an image come one after another, and those of all images of a batch together.
    """
    model = _import_openvino().Core().read_model(data)
    return _start(model, size_px=size_px, num_images=max(_MAX_BATCH_SIZE // tta_views, 1), tta_views=tta_views)


def _import_openvino() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report each import
    import openvino

    return openvino


def _start(model: Any, *, size_px: int, num_images: int, tta_views: int = 1) -> Engine:
    """num_images: of a request."""
    core = _import_openvino().Core()
    model.reshape([num_images * tta_views, size_px, size_px, 3])
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        _correct_rounding(model)
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return Engine(f"openvino {precision}", lambda batches: _embed(compiled, batches, num_images, tta_views))


def _embed(compiled: Any, batches: Iterable[np.ndarray], num_images: int, tta_views: int) -> Iterator[np.ndarray]:
    """As Engine.embed, by requests of num_images, smaller ones padded."""
    num_requests, num_views = _IN_FLIGHT * compiled.get_property("NUM_STREAMS"), num_images * tta_views
    requests = [compiled.create_infer_request() for _ in range(num_requests)]
    waiting: deque[tuple[Any, int]] = deque()
    for pixels in (batch[at : at + num_views] for batch in batches for at in range(0, len(batch), num_views)):
        if not requests:
            yield _finish(waiting, requests)
        padded = np.zeros((num_views, *pixels.shape[1:]), np.uint8)
        padded[: len(pixels)] = pixels
        request = requests.pop()
        request.start_async([padded])
        waiting.append((request, len(pixels) // tta_views))
    while waiting:
        yield _finish(waiting, requests)


def _finish(waiting: deque[tuple[Any, int]], requests: list[Any]) -> np.ndarray:
    """The rows of the oldest request, which is free again."""
    request, num_images = waiting.popleft()
    request.wait()
    requests.append(request)
    return np.concatenate([each.data[:num_images].reshape(num_images, -1) for each in request.output_tensors], axis=1)


def _correct_rounding(model: Any) -> None:
    """Correct the convolutions of short sums, where what bf16 rounds off the weights does not average out.

    MobileNetV2's first depthwise filters have weights that cancel, and see values that are much alike: rounded each to
    its nearest, they took its features to a cosine of 0.964 to those of fp32 on a photograph. With the first layers
    computed twice, by their weights and by what is rounded off, and the others rounded so that a filter's sum stays, it
    is 0.996, as with all layers twice, which takes 1.6 times as long.
    """
    import openvino.opset13 as opset

    layers = {"Convolution": opset.convolution, "GroupConvolution": opset.group_convolution}
    convolutions = [op for op in model.get_ordered_ops() if op.get_type_name() in layers]
    weighted = [(layer, layer.input_value(1).get_node()) for layer in convolutions]
    short = [
        (layer, node)
        for layer, node in weighted
        if node.get_type_name() == "Constant" and np.prod(node.shape[-3:]) <= _SHORT_SUM
    ]
    for layer, node in short[_NUM_EXACT:]:
        filters = node.data.reshape(-1, np.prod(node.shape[-3:]))
        rounded = round_keeping_sums(filters).reshape(node.data.shape)
        layer.input(1).replace_source_output(opset.constant(rounded).output(0))
    for layer, node in short[:_NUM_EXACT]:
        options = {key: layer.get_attributes()[key] for key in ("strides", "pads_begin", "pads_end", "dilations")}
        rest = opset.constant(node.data - _to_bf16(node.data))
        readers = layer.output(0).get_target_inputs()
        both = opset.add(layer, layers[layer.get_type_name()](layer.input_value(0), rest, **options))
        for reader in readers:
            reader.replace_source_output(both.output(0))


def round_keeping_sums(filters: np.ndarray) -> np.ndarray:
    """(filters, weights) float32 in bf16: each weight, from the largest down, takes on what rounding left so far."""
    largest_first = np.argsort(-np.abs(filters), axis=1, kind="stable")
    rounded, left = np.empty_like(filters), np.zeros((len(filters), 1), filters.dtype)
    for column in np.split(largest_first, filters.shape[1], axis=1):
        wanted = np.take_along_axis(filters, column, axis=1) + left
        np.put_along_axis(rounded, column, _to_bf16(wanted), axis=1)
        left = wanted - _to_bf16(wanted)
    return rounded


def _to_bf16(values: np.ndarray) -> np.ndarray:
    """float32, each the nearest value that bf16 has."""
    return values.astype(ml_dtypes.bfloat16).astype(np.float32)
