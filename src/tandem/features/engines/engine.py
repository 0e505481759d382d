"""What runs a frozen backbone over pixels: fp32 torch, or the fastest that this machine has.

The only place that knows OpenVINO. Its rows do not depend, to the last bit, on batches, threads or streams.
"""

import platform
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from tandem.errors import ParamsError
from tandem.features.backbones.backbone import Backbone
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.engines import cuda
from tandem.features.settings import EngineChoice

MIN_COSINE = 0.99  # of an engine's rows to those of fp32, else fp32 is taken
_NUM_TRIED = 8  # drawn images
_SHORT_SUM = 32  # products a value of a convolution; the rounding of so few does not average out
_TWICE = 3  # convolutions of short sums, from the pixels on
_AT_ONCE = 4  # images that OpenVINO computes on one core: the maps of more leave its cache
_IN_FLIGHT = 2  # requests a stream, so that none is idle while this thread waits for images or for its turn
_Embed = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Engine:
    """name: for the record, e.g. "openvino bf16". embed: batches (n, H, W, 3) uint8 to arrays (m, D) float32, in order.

    The arrays may be smaller than the batches.
    """

    name: str
    embed: _Embed


def start_engine(backbone: Backbone, *, engine: EngineChoice, size_px: int, batch_size: int, device: str) -> Engine:
    """The engine for `device` (auto, cpu, cuda or mps); ParamsError where torch does not find that.

    "reference" computes in fp32 by torch. "auto" takes what is fastest on this machine, as long as its rows of drawn
    images have a cosine of at least MIN_COSINE to the reference's. batch_size: the largest that will come.
    """
    target = select_device(device)
    reference = _torch(backbone.net, target)
    if engine == "reference" or not _has_faster(target):
        return reference
    try:
        if target.type == "cuda":
            fastest = Engine("torch float16", cuda.fp16_embedder(backbone.net, target, size_px=size_px))
        else:
            fastest = _openvino(backbone.net, size_px=size_px, batch_size=batch_size)
    except RuntimeError:  # a network that cannot be converted, captured or held in the device's memory
        return reference
    pixels = np.array_split(dead_leaves(_NUM_TRIED, size_px=size_px, seed=0), -(-_NUM_TRIED // batch_size))
    return fastest if _least_cosine(fastest.embed(pixels), reference.embed(pixels)) >= MIN_COSINE else reference


def _has_faster(device: torch.device) -> bool:
    if device.type == "cpu":
        return bool(find_spec("openvino")) and platform.machine() in ("x86_64", "AMD64")
    return device.type == "cuda"


def select_device(name: str) -> torch.device:
    """The device of runtime.device; auto is the fastest kind that is there. Raises ParamsError."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, is_there in found.items() if is_there]
    if name != "auto" and name not in usable:
        raise ParamsError(
            f"runtime.device is {name!r}, but torch finds only {', '.join(usable)} here; take one of them"
        )
    return torch.device(usable[0] if name == "auto" else name)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has units for bfloat16; emulated it is no faster than float32."""
    if device.type == "cpu":
        return bool(
            {"avx512_bf16", "amx_bf16", "bf16"} & {key for key, has in torch.cpu.get_capabilities().items() if has}
        )
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _least_cosine(one: Iterable[np.ndarray], other: Iterable[np.ndarray]) -> float:
    a, b = (torch.from_numpy(np.concatenate(list(rows))) for rows in (one, other))
    return float(torch.cosine_similarity(a, b).nan_to_num().min())  # of a row that is not finite: 0


def _torch(net: nn.Module, device: torch.device) -> Engine:
    """Plain torch in fp32; convolutions on CUDA would take TF32 else, which has ten bits of a fraction."""

    def rows(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        net.to(device)
        for pixels in batches:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                found = net(torch.from_numpy(pixels).to(device)).float().cpu().numpy()
            yield found

    return Engine("torch float32", rows)


def _openvino(net: nn.Module, *, size_px: int, batch_size: int) -> Engine:
    """OpenVINO on the CPU, in bf16 where the processor has it, else in fp32."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report each import
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it traces by torch.jit, which torch calls deprecated
        model = openvino.convert_model(net.cpu(), example_input=torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8))
    at_once = min(batch_size, _AT_ONCE)
    model.reshape([at_once, size_px, size_px, 3])
    core = openvino.Core()
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        _correct_rounding(model)
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()

    def rows(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        num_requests = _IN_FLIGHT * compiled.get_property("NUM_STREAMS")
        requests = [compiled.create_infer_request() for _ in range(num_requests)]
        waiting: deque[tuple[Any, int]] = deque()
        for pixels in (batch[at : at + at_once] for batch in batches for at in range(0, len(batch), at_once)):
            if not requests:
                yield _finish(waiting, requests)
            padded = np.zeros((at_once, *pixels.shape[1:]), np.uint8)
            padded[: len(pixels)] = pixels
            request = requests.pop()
            request.start_async([padded])
            waiting.append((request, len(pixels)))
        while waiting:
            yield _finish(waiting, requests)

    return Engine(f"openvino {precision}", rows)


def _finish(waiting: deque[tuple[Any, int]], requests: list[Any]) -> np.ndarray:
    """The rows of the oldest request, which is free again."""
    request, num_rows = waiting.popleft()
    request.wait()
    requests.append(request)
    return request.get_output_tensor(0).data[:num_rows].copy()


def _correct_rounding(model: Any) -> None:
    """Take care of the convolutions of short sums, where what bf16 rounds off the weights does not average out.

    MobileNetV2's first depthwise filters have weights that cancel, and see values that are much alike: rounded each to
    its nearest, they took its features to a cosine of 0.964 to those of fp32 on a photograph. With the first layers
    computed twice, by their weights and by what is rounded off, and the others rounded so that a filter's sum stays, it
    is 0.996, as with all layers twice, which takes 1.6 times as long.
    """
    import openvino.opset13 as opset

    layers = {"Convolution": opset.convolution, "GroupConvolution": opset.group_convolution}
    convolutions = (op for op in model.get_ordered_ops() if op.get_type_name() in layers)
    weighted = [(layer, layer.input_value(1).get_node()) for layer in convolutions]
    short = [
        (layer, node)
        for layer, node in weighted
        if node.get_type_name() == "Constant" and np.prod(node.shape[-3:]) <= _SHORT_SUM
    ]
    for number, (layer, node) in enumerate(short):
        exact = torch.from_numpy(node.data.copy())
        if number >= _TWICE:
            rounded = round_keeping_sums(exact.flatten(-3).flatten(0, -2)).reshape(exact.shape)
            layer.input(1).replace_source_output(opset.constant(rounded.numpy()).output(0))
            continue
        options = {key: layer.get_attributes()[key] for key in ("strides", "pads_begin", "pads_end", "dilations")}
        rest = opset.constant((exact - exact.bfloat16().float()).numpy())
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
