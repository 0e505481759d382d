"""Images of a batch varied at random, all at once on tensors: crop, flip, color, and mixes of two images."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as operations

from tandem.finetune.settings import AugmentSettings, Mix

_RATIOS = (3 / 4, 4 / 3)  # of a crop's sides, as torchvision's RandomResizedCrop
_MIXUP_ALPHA = 0.2  # Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; CutMix draws evenly
_GRAY = (0.299, 0.587, 0.114)  # ITU-R 601


def augment(pixels: torch.Tensor, *, size_px: int, settings: AugmentSettings, rng: np.random.Generator) -> torch.Tensor:
    """(n, H, W, 3) uint8 to (n, size_px, size_px, 3) float32 in 0..255; each image is drawn on its own."""
    images = pixels.permute(0, 3, 1, 2)
    if settings.rand_augment_ops:
        images = rand_augment(images, num_operations=settings.rand_augment_ops, rng=rng)
    images = images.float()
    boxes = _to_device_of(_boxes(len(images), settings, rng), images)
    grid = functional.affine_grid(boxes, [len(images), 3, size_px, size_px], align_corners=False)
    cropped = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    varied = _color_jittered(cropped, settings.color_jitter, rng)
    return varied.permute(0, 2, 3, 1).contiguous()  # channels last, in which convolutions are fast


def mix(
    pixels: torch.Tensor, targets: torch.Tensor, *, kind: Mix, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each image mixed with another of the batch, and its target (n, C) by the same share. pixels: (n, H, W, 3)."""
    if kind == "none":
        return pixels, targets
    other = _to_device_of(torch.from_numpy(rng.permutation(len(pixels))), pixels)
    if kind == "mixup":
        share = float(rng.beta(_MIXUP_ALPHA, _MIXUP_ALPHA))
        mixed = share * pixels + (1 - share) * pixels[other]
    else:
        size, mixed = pixels.shape[1], pixels.clone()
        side = round(size * float(np.sqrt(rng.random())))
        top, left = rng.integers(0, size - side + 1, 2).tolist()
        mixed[:, top : top + side, left : left + side] = pixels[other][:, top : top + side, left : left + side]
        share = 1 - side * side / (size * size)
    return mixed, share * targets + (1 - share) * targets[other]


def _boxes(count: int, settings: AugmentSettings, rng: np.random.Generator) -> torch.Tensor:
    """(count, 2, 3) affine maps from the crop's [-1, 1] to the image's, mirrored where so drawn."""
    area = rng.uniform(settings.min_scale, 1, count)
    ratio = np.exp(rng.uniform(np.log(_RATIOS[0]), np.log(_RATIOS[1]), count))
    width, height = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    mirrored = np.where(rng.random(count) < 0.5, -1, 1) if settings.flip else np.ones(count)
    maps = np.zeros((count, 2, 3), dtype=np.float32)
    maps[:, 0, 0], maps[:, 1, 1] = width * mirrored, height
    maps[:, 0, 2], maps[:, 1, 2] = (1 - width) * rng.uniform(-1, 1, count), (1 - height) * rng.uniform(-1, 1, count)
    return torch.from_numpy(maps)


def _color_jittered(images: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """(n, 3, H, W) in 0..255, with brightness, contrast and saturation by a factor each."""
    if strength == 0:
        return images
    drawn = rng.uniform(1 - strength, 1 + strength, (3, len(images), 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = _to_device_of(torch.from_numpy(drawn), images)
    weights = _to_device_of(torch.tensor(_GRAY).view(1, 3, 1, 1), images)
    images = images * brightness
    level = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    images = level + (images - level) * contrast
    gray = (images * weights).sum(1, keepdim=True)
    return (gray + (images - gray) * saturation).clamp(0, 255)


def _to_device_of(small: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """On the other's device, without waiting for what that has to do before."""
    return small.to(other.device, non_blocking=True)


_STRENGTH = 9 / 30  # of each range
_SHEAR = math.degrees(math.atan(0.3 * _STRENGTH))
_TRANSLATE = 150 / 331 * _STRENGTH  # of the side
_ROTATE = 30 * _STRENGTH
_FACTOR = 0.9 * _STRENGTH  # brightness and the like are multiplied by 1 plus or minus this
_BITS = round(8 - 4 * _STRENGTH)
_THRESHOLD = 255 * (1 - _STRENGTH)

_Operation = Callable[[torch.Tensor, int], torch.Tensor]  # an image (3, H, W) uint8 and 1 or -1


def _translated(image: torch.Tensor, sign: int, *, x: float = 0, y: float = 0) -> torch.Tensor:
    shift = [int(sign * share * side) for share, side in ((x, image.shape[2]), (y, image.shape[1]))]
    return operations.affine(image, angle=0, translate=shift, scale=1, shear=[0, 0])


def _sheared(image: torch.Tensor, sign: int, *, x: float = 0, y: float = 0) -> torch.Tensor:
    return operations.affine(image, angle=0, translate=[0, 0], scale=1, shear=[sign * x, sign * y], center=[0, 0])


rand_augment_ops: dict[str, _Operation] = {
    "Identity": lambda image, _: image,
    "ShearX": partial(_sheared, x=_SHEAR),
    "ShearY": partial(_sheared, y=_SHEAR),
    "TranslateX": partial(_translated, x=_TRANSLATE),
    "TranslateY": partial(_translated, y=_TRANSLATE),
    "Rotate": lambda image, sign: operations.rotate(image, sign * _ROTATE),
    "Brightness": lambda image, sign: operations.adjust_brightness(image, 1 + sign * _FACTOR),
    "Color": lambda image, sign: operations.adjust_saturation(image, 1 + sign * _FACTOR),
    "Contrast": lambda image, sign: operations.adjust_contrast(image, 1 + sign * _FACTOR),
    "Sharpness": lambda image, sign: operations.adjust_sharpness(image, 1 + sign * _FACTOR),
    "Posterize": lambda image, _: operations.posterize(image, bits=_BITS),
    "Solarize": lambda image, _: operations.solarize(image, threshold=_THRESHOLD),
    "AutoContrast": lambda image, _: operations.autocontrast(image),
    "Equalize": lambda image, _: operations.equalize(image),
}


def rand_augment(images: torch.Tensor, *, num_operations: int, rng: np.random.Generator) -> torch.Tensor:
    """(n, 3, H, W) uint8, each image after so many operations of its own, drawn with replacement."""
    kinds = list(rand_augment_ops.values())
    varied = []
    for image in images:
        for _ in range(num_operations):
            image = kinds[rng.integers(len(kinds))](image, int(rng.choice([-1, 1])))
        varied.append(image)
    return torch.stack(varied)
