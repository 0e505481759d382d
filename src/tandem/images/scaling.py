"""Scaling an image by a triangle filter, as torch does it, with torch and without.

Both give the same bytes: torch computes such a filter on uint8 by whole numbers, and so does `scale_by_numpy`, for
which a process need not import torch.
"""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np

_MAX_PRECISION = 22  # bits of a weight's fraction; aten/src/ATen/native/cpu/UpSampleKernel.cpp
_WEIGHT_BITS = 15  # of a weight, the sign apart
_PRECISION_OF_FLOAT32 = 16
_BLOCK = 8  # output rows; more read the more rows in vain, fewer are the slower products


class Scale(Protocol):
    """(H, W, 3) uint8, of any strides, to (height, width, 3) uint8."""

    def __call__(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        """The image in that size."""
        ...


def fastest_scale() -> Scale:
    """scale_by_torch, and scale_by_numpy where torch is not installed."""
    return scale_by_torch if find_spec("torch") else scale_by_numpy


def scale_by_torch(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """By torch's bilinear interpolation with antialiasing. image: writable."""
    import torch  # seconds, which a short prediction does without
    from torch.nn import functional

    # batched first: torch knows channels last, which it resizes fast, by the strides of all four axes
    channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    scaled = functional.interpolate(channels_last, (height, width), mode="bilinear", antialias=True)
    return scaled.permute(0, 2, 3, 1)[0].numpy()


def scale_by_numpy(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The same bytes as of scale_by_torch, in several times its time."""
    across = _filtered(image.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return np.ascontiguousarray(_filtered(across, height))


class _Filter(NamedTuple):
    """How rows are filtered, a few output rows at a time.

    kind: in which the sums are exact. precision: the weights are whole numbers that sum to about 2 ** precision.
    blocks: of each its first input row, and the weights (output rows, input rows) of that one and those after it.
    """

    kind: type[np.floating[Any]]
    precision: int
    blocks: tuple[tuple[int, np.ndarray], ...]


def _filtered(image: np.ndarray, size: int) -> np.ndarray:
    """(n, m, 3) uint8 to (size, m, 3) uint8."""
    if len(image) == size:
        return image
    kind, precision, blocks = _filter(len(image), size)
    rows = np.ascontiguousarray(image).reshape(len(image), -1).astype(kind)
    total = np.concatenate([weights @ rows[low : low + weights.shape[1]] for low, weights in blocks])
    rounded = np.floor(total * kind(2.0**-precision) + kind(0.5)).clip(0, 255)
    return rounded.astype(np.uint8).reshape(size, *image.shape[1:])


@lru_cache(maxsize=256)
def _filter(num_inputs: int, num_outputs: int) -> _Filter:
    ratio = num_inputs / num_outputs
    support = max(ratio, 1.0)
    centers = ratio * (np.arange(num_outputs) + 0.5)
    first = np.maximum((centers - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + support + 0.5).astype(np.int64), num_inputs)
    rows = first[:, None] + np.arange((last - first).max())
    weights = np.maximum(1 - np.abs((rows - centers[:, None] + 0.5) / support), 0) * (rows < last[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    precision = _precision(float(weights.max()))
    # sums of at most 255 * 2 ** precision; float32 holds whole numbers up to 2 ** 24
    kind, size = (np.float32, _BLOCK) if precision <= _PRECISION_OF_FLOAT32 else (np.float64, 1)
    dense = np.zeros((num_outputs, num_inputs + rows.shape[1]), kind)
    np.put_along_axis(dense, rows, np.floor(weights * (1 << precision) + 0.5).astype(kind), axis=1)
    blocks = list[tuple[int, np.ndarray]]()
    for start in range(0, num_outputs, size):
        low, high = int(first[start]), int(last[start : start + size][-1])
        blocks.append((low, dense[start : start + size, low:high].copy()))  # not a view, which would keep all of it
    return _Filter(kind, precision, tuple(blocks))


def _precision(largest: float) -> int:
    """Bits of the weights' fraction: as many as leave the largest one below 2 ** 15."""
    bits = range(_MAX_PRECISION)
    return next((each for each in bits if int(0.5 + largest * (1 << (each + 1))) >= 1 << _WEIGHT_BITS), _MAX_PRECISION)
