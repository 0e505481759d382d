"""Scaling an image by a triangle filter, as torch does it, with torch and without.

Both give the same bytes: torch computes such a filter on uint8 by whole numbers, and so does `scale_by_numpy`, for
which a process need not import torch.
"""

from functools import cache
from typing import NamedTuple, Protocol

import numpy as np

_MAX_PRECISION = 22  # bits of a weight's fraction; aten/src/ATen/native/cpu/UpSampleKernel.cpp
_WEIGHT_BITS = 15  # of a weight, the sign apart


class Scale(Protocol):
    """(H, W, 3) uint8, of any strides, to (height, width, 3) uint8."""

    def __call__(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        """The image in that size."""
        ...


def scale_by_torch(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """By torch's bilinear interpolation with antialiasing. image: writable."""
    import torch  # seconds, which a short prediction does without
    from torch.nn import functional

    # batched first: torch knows channels last, which it resizes fast, by the strides of all four axes
    channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    scaled = functional.interpolate(channels_last, (height, width), mode="bilinear", antialias=True)
    return scaled.permute(0, 2, 3, 1)[0].numpy()


def scale_by_numpy(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The same bytes as of scale_by_torch, in about ten times its time."""
    across = _filtered(image.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return np.ascontiguousarray(_filtered(across, height))


class _Filter(NamedTuple):
    """Of each of n output rows its k inputs and their weights, whole numbers that sum to about 2 ** precision.

    rows, weights: (k, n); a row with fewer inputs has further ones of weight 0.
    """

    rows: np.ndarray
    weights: np.ndarray
    precision: int


def _filtered(image: np.ndarray, size: int) -> np.ndarray:
    """(n, m, 3) uint8 to (size, m, 3) uint8."""
    if len(image) == size:
        return image
    rows, weights, precision = _filter(len(image), size)
    total = np.full((size, *image.shape[1:]), 1 << (precision - 1), np.int32)  # a half, so that a shift rounds
    for row, weight in zip(rows, weights, strict=True):
        total += image[row] * weight[:, None, None]
    return (total >> precision).clip(0, 255).astype(np.uint8)


@cache
def _filter(num_inputs: int, num_outputs: int) -> _Filter:
    ratio = num_inputs / num_outputs
    support = max(ratio, 1.0)
    centers = ratio * (np.arange(num_outputs) + 0.5)
    first = np.maximum((centers - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + support + 0.5).astype(np.int64), num_inputs)
    rows = first + np.arange((last - first).max())[:, None]
    weights = np.maximum(1 - np.abs((rows - centers + 0.5) / support), 0) * (rows < last)
    weights /= weights.sum(axis=0)
    largest = weights.max()
    precision = next(
        bits
        for bits in range(_MAX_PRECISION + 1)
        if bits == _MAX_PRECISION or int(0.5 + largest * (1 << (bits + 1))) >= 1 << _WEIGHT_BITS
    )
    whole = (weights * (1 << precision) + 0.5).astype(np.int32)
    return _Filter(np.minimum(rows, num_inputs - 1), whole, precision)
