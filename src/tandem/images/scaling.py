"""Scaling an image with antialiasing, as torch does it, with torch and without.

Both give the same bytes: torch computes such a filter on uint8 by whole numbers, and so does `scale_by_numpy`, for
which a process need not import torch. Either filter is Pillow's of that name, which the authors of trained weights
used: "bilinear" a triangle, "bicubic" Keys' cubic convolution with a = -0.5 (1981), which keeps edges sharper.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np

from tandem.types import Interpolation

_MAX_PRECISION = 22  # bits of a weight's fraction; aten/src/ATen/native/cpu/UpSampleKernel.cpp
_WEIGHT_BITS = 15  # of a weight, the sign apart
_MIDDLE = 128  # taken off the pixels, which halves the largest sum
_EXACT_IN_FLOAT32 = 1 << 24  # up to which it holds all whole numbers
_BLOCK = 8  # output rows; more read the more rows in vain, fewer are the slower products


class Scale(Protocol):
    """(H, W, 3) uint8, of any strides, to (height, width, 3) uint8."""

    def __call__(self, image: np.ndarray, height: int, width: int, interpolation: Interpolation) -> np.ndarray:
        """The image in that size."""
        ...


def fastest_scale() -> Scale:
    """scale_by_torch, and scale_by_numpy where torch is not installed."""
    return scale_by_torch if find_spec("torch") else scale_by_numpy


def scale_by_torch(image: np.ndarray, height: int, width: int, interpolation: Interpolation) -> np.ndarray:
    """By torch's interpolation with antialiasing. image: writable."""
    import torch  # seconds, which a short prediction does without
    from torch.nn import functional

    # batched first: torch knows channels last, which it resizes fast, by the strides of all four axes
    channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    scaled = functional.interpolate(channels_last, (height, width), mode=interpolation, antialias=True)
    return scaled.permute(0, 2, 3, 1)[0].numpy()


def scale_by_numpy(image: np.ndarray, height: int, width: int, interpolation: Interpolation) -> np.ndarray:
    """The same bytes as of scale_by_torch, in several times its time."""
    across = _filtered(image.transpose(1, 0, 2), width, interpolation).transpose(1, 0, 2)
    return np.ascontiguousarray(_filtered(across, height, interpolation))


class _Filter(NamedTuple):
    """How rows are filtered, a few output rows at a time.

    kind: in which the sums are exact. precision: the weights are whole numbers that sum to about 2 ** precision.
    excess: (output rows, 1), by how much they sum to more. blocks: of each its first input row, and the weights
    (output rows, input rows) of that one and those after it.
    """

    kind: type[np.floating[Any]]
    precision: int
    excess: np.ndarray
    blocks: tuple[tuple[int, np.ndarray], ...]


def _filtered(image: np.ndarray, size: int, interpolation: Interpolation) -> np.ndarray:
    """(n, m, 3) uint8 to (size, m, 3) uint8."""
    if len(image) == size:
        return image
    kind, precision, excess, blocks = _filter(len(image), size, interpolation)
    rows = np.ascontiguousarray(image).reshape(len(image), -1).astype(kind) - kind(_MIDDLE)
    total = np.concatenate([weights @ rows[low : low + weights.shape[1]] for low, weights in blocks])
    total += _MIDDLE * excess
    rounded = (np.floor(total * kind(2.0**-precision) + kind(0.5)) + kind(_MIDDLE)).clip(0, 255)
    return rounded.astype(np.uint8).reshape(size, *image.shape[1:])


@lru_cache(maxsize=256)
def _filter(num_inputs: int, num_outputs: int, interpolation: Interpolation) -> _Filter:
    first, last, weights = _weights(num_inputs, num_outputs, interpolation)
    precision = _precision(float(weights.max()))
    scaled = weights * (1 << precision)
    whole = np.trunc(scaled + np.copysign(0.5, scaled))
    excess = whole.sum(axis=1, keepdims=True) - (1 << precision)
    largest = _MIDDLE * (np.abs(whole).sum(axis=1).max() + np.abs(excess).max()) + (1 << (precision - 1))
    kind, size = (np.float32, _BLOCK) if largest <= _EXACT_IN_FLOAT32 else (np.float64, 1)
    dense = np.zeros((num_outputs, num_inputs + whole.shape[1]), kind)
    np.put_along_axis(dense, first[:, None] + np.arange(whole.shape[1]), whole.astype(kind), axis=1)
    blocks = list[tuple[int, np.ndarray]]()
    for start in range(0, num_outputs, size):
        low, high = int(first[start]), int(last[start : start + size][-1])
        blocks.append((low, dense[start : start + size, low:high].copy()))  # not a view, which would keep all of it
    return _Filter(kind, precision, excess.astype(kind), tuple(blocks))


def _weights(num_inputs: int, num_outputs: int, interpolation: Interpolation) -> tuple[np.ndarray, ...]:
    """first, last: (num_outputs,), the input rows from ... up to that an output row is made of, and their weights."""
    ratio = num_inputs / num_outputs
    stretch = max(ratio, 1.0)  # antialiasing: a filter as wide as the output's pixels are in the input
    weight_at, reach = _FILTERS[interpolation]
    centers = ratio * (np.arange(num_outputs) + 0.5)
    first = np.maximum((centers - reach * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + reach * stretch + 0.5).astype(np.int64), num_inputs)
    rows = first[:, None] + np.arange((last - first).max())
    weights = weight_at(np.abs((rows - centers[:, None] + 0.5) / stretch)) * (rows < last[:, None])
    return first, last, weights / weights.sum(axis=1, keepdims=True)


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - distance, 0)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' convolution kernel with a = -0.5."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


# each with its reach to either side, in pixels of the output where that is smaller
_FILTERS: dict[Interpolation, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}


def _precision(largest: float) -> int:
    """Bits of the weights' fraction: as many as leave the largest one below 2 ** 15."""
    bits = range(_MAX_PRECISION)
    return next((each for each in bits if int(0.5 + largest * (1 << (each + 1))) >= 1 << _WEIGHT_BITS), _MAX_PRECISION)
