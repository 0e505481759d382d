"""Images of a batch varied at random, on tensors: RandAugment, crop, flip, color, and mixes of two images.

What is random comes from a generator of its own. torchvision's transforms draw from torch's global one, from which the
dropout of the training draws at the same time in another thread; and most of them draw once for the whole batch.
"""

import numpy as np
import torch
from torch.nn import functional
from torchvision.transforms import v2

from tandem.finetune.settings import AugmentSettings, Mix

_RATIOS = (3 / 4, 4 / 3)  # of a crop's sides, as torchvision's RandomResizedCrop
_MIXUP_ALPHA = 0.2  # Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; CutMix draws evenly
_GRAY = (0.299, 0.587, 0.114)  # ITU-R 601
_RAND_AUGMENT = v2.RandAugment()  # its operations at its default magnitude


def augment(pixels: torch.Tensor, *, size_px: int, settings: AugmentSettings, rng: np.random.Generator) -> torch.Tensor:
    """(n, H, W, 3) uint8 to (n, size_px, size_px, 3) float32 in 0..255; each image is varied on its own."""
    images = pixels.permute(0, 3, 1, 2)
    if settings.rand_augment_ops:
        images = rand_augment(images, num_ops=settings.rand_augment_ops, rng=rng)
    images = images.float()
    boxes = _to_device_of(_random_boxes(len(images), settings, rng), images)
    grid = functional.affine_grid(boxes, [len(images), 3, size_px, size_px], align_corners=False)
    cropped = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    varied = _color_jittered(cropped, settings.color_jitter, rng)
    return varied.permute(0, 2, 3, 1).contiguous()  # channels last, in which convolutions are fast


def mix(
    pixels: torch.Tensor, targets: torch.Tensor, *, kind: Mix, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each image mixed with another of the batch, and its target (n, C) by the same fraction. pixels: (n, H, W, 3)."""
    if kind == "none":
        return pixels, targets
    other = _to_device_of(torch.from_numpy(rng.permutation(len(pixels))), pixels)
    if kind == "mixup":
        fraction = float(rng.beta(_MIXUP_ALPHA, _MIXUP_ALPHA))
        mixed = fraction * pixels + (1 - fraction) * pixels[other]
    else:
        size, mixed = pixels.shape[1], pixels.clone()
        side = round(size * float(np.sqrt(rng.random())))
        top, left = rng.integers(0, size - side + 1, 2).tolist()
        mixed[:, top : top + side, left : left + side] = pixels[other][:, top : top + side, left : left + side]
        fraction = 1 - side * side / (size * size)
    return mixed, fraction * targets + (1 - fraction) * targets[other]


def rand_augment(images: torch.Tensor, *, num_ops: int, rng: np.random.Generator) -> torch.Tensor:
    """(n, 3, H, W) uint8, each image after so many operations of RandAugment of its own, drawn with replacement."""
    names = list(_RAND_AUGMENT._AUGMENTATION_SPACE)
    varied = []
    for image in images:
        for _ in range(num_ops):
            image = apply_operation(image, names[rng.integers(len(names))], sign=int(rng.choice([-1, 1])))
        varied.append(image)
    return torch.stack(varied)


def apply_operation(image: torch.Tensor, name: str, *, sign: int) -> torch.Tensor:
    """One operation of torchvision's RandAugment, as its forward applies it. image: (3, H, W) uint8. sign: 1 or -1."""
    policy = _RAND_AUGMENT
    magnitudes_of, is_signed = policy._AUGMENTATION_SPACE[name]
    magnitudes = magnitudes_of(policy.num_magnitude_bins, *image.shape[1:])
    magnitude = 0.0 if magnitudes is None else float(magnitudes[policy.magnitude]) * (sign if is_signed else 1)
    return policy._apply_image_or_video_transform(image, name, magnitude, policy.interpolation, policy._fill)


def _random_boxes(count: int, settings: AugmentSettings, rng: np.random.Generator) -> torch.Tensor:
    """(count, 2, 3) affine maps from a crop's [-1, 1] to the image's, some mirrored."""
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
    factors = rng.uniform(1 - strength, 1 + strength, (3, len(images), 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = _to_device_of(torch.from_numpy(factors), images)
    weights = _to_device_of(torch.tensor(_GRAY).view(1, 3, 1, 1), images)
    images = images * brightness
    level = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    images = level + (images - level) * contrast
    gray = (images * weights).sum(1, keepdim=True)
    return (gray + (images - gray) * saturation).clamp(0, 255)


def _to_device_of(small: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """On the other's device, without waiting for what that has to do before."""
    return small.to(other.device, non_blocking=True)
