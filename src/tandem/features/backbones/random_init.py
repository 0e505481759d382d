"""What random weights need before their features say anything: an early exit, and BatchNorm statistics that fit.

- Random layers keep what an image shows for a few steps and then scramble it. So a random backbone ends at its last
  map of a quarter of the input's side, averaged over a 4 x 4 grid, where it has such a map.
- The statistics are gathered in one pass over synthetic images, never over the data set: the backbone is then a fixed
  function of its name and seed. No test image has shaped it, and adding images changes no feature.

The synthetic images are "dead leaves", overlapping discs of random size and color; with radii that follow a power law
of exponent -3 they share the scale invariance of photographs (Lee, Mumford & Huang, "Occlusion models for natural
images", 2001).
"""

from functools import partial

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.fx.proxy import TraceError
from torch.nn import functional

from tandem.features.backbones.torchvision import cut_at_last
from tandem.seeding import single_threaded

_GRID = 4
_NUM_IMAGES = 64
_BATCH_SIZE = 16


def early_exit(classifier: nn.Module, *, size_px: int) -> nn.Module:
    """The classifier up to its last map whose side is at least a quarter of the input's.

    As it is where it has none, and where torch.fx cannot trace it, as some of timm's.
    """
    try:
        early = cut_at_last(classifier, torch.zeros(2, 3, size_px, size_px), partial(_is_early_map, size_px=size_px))
    except (TraceError, TypeError, ValueError):
        return classifier
    return _GridMean(early) if early else classifier


def gather_statistics(net: nn.Module, *, seed: int, size_px: int) -> None:
    """Give every BatchNorm layer the mean and variance of what synthetic images send through it.

    net: (n, H, W, 3) uint8 to features; it is in eval mode afterwards.
    """
    norms = [layer for layer in net.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # a plain mean over what follows, instead of a moving one
        norm.reset_running_stats()
        norm.train()
    # on one thread, so that the statistics are the same to the last bit on machines of any size
    with torch.inference_mode(), single_threaded():
        for batch in torch.from_numpy(dead_leaves(_NUM_IMAGES, size_px=size_px, seed=seed)).split(_BATCH_SIZE):
            net(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum  # in fine-tuning the statistics follow the weights
    net.eval()


def dead_leaves(num_images: int, *, size_px: int, seed: int) -> np.ndarray:
    """(num_images, size_px, size_px, 3) uint8; disc radii follow a power law of exponent -3."""
    rng = np.random.default_rng(seed)
    return np.stack([_leaves(rng, size_px) for _ in range(num_images)])


def _leaves(rng: np.random.Generator, size_px: int, num_leaves: int = 400) -> np.ndarray:
    image = Image.new("RGB", (size_px, size_px))
    draw = ImageDraw.Draw(image)
    smallest, largest = 2.0, size_px / 2
    # inverse of the distribution function of p(r) ~ r^-3 between the two radii
    quantiles = rng.random(num_leaves)
    radii = (smallest**-2 - quantiles * (smallest**-2 - largest**-2)) ** -0.5
    centers, colors = rng.random((num_leaves, 2)) * size_px, rng.integers(0, 256, (num_leaves, 3))
    for radius, (x, y), color in zip(radii, centers, colors, strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(color.tolist()))
    return np.asarray(image)


class _GridMean(nn.Module):
    """The map that `extractor` gives, averaged over the cells of a grid."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_avg_pool2d(self.extractor(images), _GRID).flatten(1)


def _is_early_map(output: object, *, size_px: int) -> bool:
    """Whether it is (2, C, side, side) of a layer, its side a quarter of the input's or more.

    And not the input, a map with channels last, or the same for all.
    """
    if not isinstance(output, torch.Tensor) or output.ndim != 4:
        return False
    num_images, channels, height, width = output.shape
    return num_images == 2 and channels > 3 and height == width and 4 * width >= size_px
