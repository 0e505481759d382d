"""torchvision's classifiers with weights of their own, for tests that hold backbones against them."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import models

from tandem.features.backbones.backbone import Backbone, load_backbone
from tandem.features.backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD
from tandem.features.settings import RANDOM, BackboneSettings

SIZE_PX = 64
SMALL = "shufflenet_v2_x0_5"


def smooth_images(count: int = 3, *, seed: int = 0) -> torch.Tensor:
    """(count, SIZE_PX, SIZE_PX, 3) uint8 of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    large = [Image.fromarray(each).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC) for each in colors]
    return torch.from_numpy(np.stack([np.asarray(image) for image in large]))


def as_input(pixels: torch.Tensor) -> torch.Tensor:
    """What torchvision's networks expect of pixels (n, H, W, 3)."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std


def classifier(name: str, *, num_classes: int = 1000, seed: int = 5, **options: object) -> nn.Module:
    """torchvision's network with random weights and, in BatchNorm layers, the statistics of a few images."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        net = models.get_model(name, weights=None, num_classes=num_classes, **options).eval()
        norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in norms:
            layer.train().momentum = 1.0
        if norms:
            net(as_input(smooth_images(4, seed=1)))
    return net.eval()


def last_layer(net: nn.Module) -> nn.Module:
    return [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


def penultimate(net: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """The input of a classifier's last layer; the mean over positions where that is a convolution."""
    inputs_of_last = []
    handle = last_layer(net).register_forward_hook(lambda _layer, inputs, _output: inputs_of_last.append(inputs[0]))
    with torch.no_grad():
        net(as_input(pixels))
    handle.remove()
    [features] = inputs_of_last
    return features if features.ndim == 2 else features.mean((2, 3))


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for rounding, measured by how much the features of different images differ."""
    scale = float(expected.std(0).max())
    assert scale > 0.01 * float(expected.abs().max())
    assert torch.allclose(found / scale, expected / scale, rtol=1e-4, atol=1e-4)


def saved(path: Path, value: object) -> BackboneSettings:
    """Settings of a backbone whose weights are `value`, written to path."""
    torch.save(value, path)
    return file_weights(path)


def file_weights(path: Path) -> BackboneSettings:
    return BackboneSettings(weights=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def load(name: str, weights: BackboneSettings | str = RANDOM, *, seed: int = 0, early_exit: bool = True) -> Backbone:
    """The backbone for images of SIZE_PX."""
    settings = BackboneSettings(weights=weights) if isinstance(weights, str) else weights
    return load_backbone(name, settings, seed=seed, size_px=SIZE_PX, early_exit=early_exit)
