"""What a pass through a backbone costs on this machine."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import nn

from tandem.features.backbones.backbone import load_backbone
from tandem.features.engines.engine import start_engine
from tandem.features.settings import BackboneSettings, ExtractSettings

_NUM_BATCHES, _NUM_ROUNDS = 2, 3


@dataclass(frozen=True)
class Cost:
    """ms: an image, of the network alone, without decoding. megabytes: of its weights in fp32. engine: its name."""

    ms: float
    megabytes: float
    engine: str


def measure_cost(
    name: str, weights: BackboneSettings, settings: ExtractSettings, *, device: str, batch_size: int
) -> Cost:
    """Of random pixels, the median of three rounds; seconds, most of them to start. Raises WeightsError."""
    backbone = load_backbone(name, weights, seed=settings.seed, size_px=settings.size_px)
    size = settings.size_px
    engine = start_engine(backbone, engine=settings.engine, size_px=size, batch_size=batch_size, device=device)
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size, size, size, 3), dtype=np.uint8)
    seconds = list[float]()
    for _ in range(_NUM_ROUNDS + 1):  # the first warms up
        start = perf_counter()
        for _ in engine.embed([pixels] * _NUM_BATCHES):
            pass
        seconds.append(perf_counter() - start)
    num_bytes = 4 * num_values_read(backbone.net, size_px=size)
    return Cost(1000 * median(seconds[1:]) / (_NUM_BATCHES * batch_size), num_bytes / 1e6, engine.name)


def num_values_read(net: nn.Module, *, size_px: int) -> int:
    """Parameters that features depend on; a network that ends at an earlier layer has others too. net: of Backbone."""
    parameters = list(net.parameters())
    for each in parameters:
        each.requires_grad_(True)
    features = net(torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8))
    gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
    net.requires_grad_(False)
    return sum(each.numel() for each, gradient in zip(parameters, gradients, strict=True) if gradient is not None)
