"""Images to features by OpenVINO on the CPU, in bf16 where the processor has it, else in fp32.

The only module that knows OpenVINO, which is imported when it computes.
"""

import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from tandem.features.engines.base import Engine

_MAX_BATCH_SIZE = 4  # images that are computed on one core: the maps of more leave its cache
_IN_FLIGHT = 2  # requests a stream, so that none is idle while this thread waits for images or for its turn
_SHORT_SUM = 32  # products that a value of a convolution is the sum of; the rounding of so few does not average out
_NUM_EXACT = 3  # convolutions of short sums that are computed twice, the first ones


def openvino_engine(net: nn.Module, _device: torch.device, *, size_px: int, batch_size: int) -> Engine:
    """net: (n, size_px, size_px, 3) uint8 to features. Raises RuntimeError where it cannot be converted."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report each import
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it traces by torch.jit, which torch calls deprecated
        model = openvino.convert_model(net.cpu(), example_input=torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8))
    num_images = min(batch_size, _MAX_BATCH_SIZE)
    model.reshape([num_images, size_px, size_px, 3])
    core = openvino.Core()
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        _correct_rounding(model)
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return Engine(f"openvino {precision}", lambda batches: _embed(compiled, batches, num_images))


def _embed(compiled: Any, batches: Iterable[np.ndarray], num_images: int) -> Iterator[np.ndarray]:
    """As Engine.embed, by requests of num_images, smaller ones padded."""
    num_requests = _IN_FLIGHT * compiled.get_property("NUM_STREAMS")
    requests = [compiled.create_infer_request() for _ in range(num_requests)]
    waiting: deque[tuple[Any, int]] = deque()
    for pixels in (batch[at : at + num_images] for batch in batches for at in range(0, len(batch), num_images)):
        if not requests:
            yield _finish(waiting, requests)
        padded = np.zeros((num_images, *pixels.shape[1:]), np.uint8)
        padded[: len(pixels)] = pixels
        request = requests.pop()
        request.start_async([padded])
        waiting.append((request, len(pixels)))
    while waiting:
        yield _finish(waiting, requests)


def _finish(waiting: deque[tuple[Any, int]], requests: list[Any]) -> np.ndarray:
    """The features of the oldest request, which is free again."""
    request, num_images = waiting.popleft()
    request.wait()
    requests.append(request)
    return request.get_output_tensor(0).data[:num_images].copy()


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
        weights = torch.from_numpy(node.data.copy())
        rounded = round_keeping_sums(weights.flatten(-3).flatten(0, -2)).reshape(weights.shape)
        layer.input(1).replace_source_output(opset.constant(rounded.numpy()).output(0))
    for layer, node in short[:_NUM_EXACT]:
        weights = torch.from_numpy(node.data.copy())
        options = {key: layer.get_attributes()[key] for key in ("strides", "pads_begin", "pads_end", "dilations")}
        rest = opset.constant((weights - weights.bfloat16().float()).numpy())
        readers = layer.output(0).get_target_inputs()
        both = opset.add(layer, layers[layer.get_type_name()](layer.input_value(0), rest, **options))
        for reader in readers:
            reader.replace_source_output(both.output(0))


def round_keeping_sums(filters: torch.Tensor) -> torch.Tensor:
    """(filters, weights) float32 in bf16: each weight, from the largest down, takes on what rounding left so far."""
    largest_first = filters.abs().argsort(dim=1, descending=True, stable=True)
    rounded, left = torch.empty_like(filters), torch.zeros(len(filters), 1)
    for column in largest_first.split(1, dim=1):
        wanted = filters.gather(1, column) + left
        rounded.scatter_(1, column, wanted.bfloat16().float())
        left = wanted - rounded.gather(1, column)
    return rounded
