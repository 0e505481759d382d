"""Which engine runs a frozen backbone over pixels: fp32 by torch, or the fastest of this machine.

Features do not depend, to the last bit, on batches, threads or streams.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from tandem.features.backbones.backbone import Backbone
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.device import select_device
from tandem.features.engines.base import Engine, reference_engine
from tandem.features.engines.cuda import fp16_engine
from tandem.features.engines.openvino import has_openvino, openvino_engine
from tandem.features.settings import EngineChoice

MIN_COSINE = 0.99  # of an engine's features to those of fp32, else fp32 is taken
_NUM_COMPARED = 8  # synthetic images
_FASTEST: dict[str, Callable[..., Engine]] = {"cuda": fp16_engine, "cpu": openvino_engine}  # kind of device -> engine


def start_engine(backbone: Backbone, *, engine: EngineChoice, size_px: int, batch_size: int, device: str) -> Engine:
    """The engine for `device` (auto, cpu, cuda or mps); ParamsError where torch does not find that.

    "reference" computes in fp32 by torch. "auto" takes what is fastest on this machine, as long as its features of
    synthetic images have a cosine of at least MIN_COSINE to the reference's. batch_size: the largest that will come.
    """
    target = select_device(device)
    reference = reference_engine(backbone.net, target, batch_size=batch_size)
    if engine == "reference" or not _has_faster(target):
        return reference
    try:
        fastest = _FASTEST[target.type](backbone.net, target, size_px=size_px, batch_size=batch_size)
    except RuntimeError:  # a network that cannot be converted, captured or held in the device's memory
        return reference
    pixels = np.array_split(dead_leaves(_NUM_COMPARED, size_px=size_px, seed=0), -(-_NUM_COMPARED // batch_size))
    unpadded = reference_engine(backbone.net, target, batch_size=1)
    return fastest if _min_cosine(fastest.embed(pixels), unpadded.embed(pixels)) >= MIN_COSINE else reference


def _has_faster(device: torch.device) -> bool:
    if device.type == "cpu":
        return has_openvino()
    return device.type in _FASTEST


def _min_cosine(one: Iterable[np.ndarray], other: Iterable[np.ndarray]) -> float:
    first, second = (torch.from_numpy(np.concatenate(list(features))) for features in (one, other))
    return float(torch.cosine_similarity(first, second).nan_to_num().min())  # 0 of features that are not finite
