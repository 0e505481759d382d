"""How blurred, bright and full of information an image is, from its gray values scaled to 256 x 256 pixels."""

from typing import NamedTuple

import numpy as np
from PIL import Image

_SIDE_PX, _DIGITS = 256, 3
_BLUR_PX = 9  # the length of the box filter that it is blurred by once more


class Quality(NamedTuple):
    """Each rounded to 3 digits.

    blur: from 0 (sharp) to 1 (nothing in it is sharp), by Crete et al., "The blur effect" (2007). brightness: the mean
    gray value, from 0 (black) to 1 (white). entropy: of the distribution of gray values, from 0 (one value) to 8 bits.
    The last two are what CleanVision judges dark, light and low-information images by.
    """

    blur: float
    brightness: float
    entropy: float


def measure_quality(image: Image.Image) -> Quality:
    """Of an image in any mode. One that is smaller than 256 pixels is enlarged, and so counts as blurred."""
    gray = np.asarray(image.convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR))
    counts = np.bincount(gray.ravel(), minlength=256)
    brightness = float(counts @ np.arange(256)) / gray.size / 255
    fractions = counts[counts > 0] / gray.size
    entropy = abs(float(fractions @ np.log2(fractions)))
    signed = gray.astype(np.int16)  # holds 9 times the largest difference
    blur = max(_blur_of_rows(signed), _blur_of_rows(signed.T))
    return Quality(*(round(each, _DIGITS) for each in (blur, brightness, entropy)))


def _blur_of_rows(gray: np.ndarray) -> float:
    """What a box filter along the rows leaves of the differences between neighbors; 1 where there are none.

    The difference between neighbors of the filtered image is that between the two ends of the filter, divided by its
    length, so that nothing need be filtered, and the sums are exact.
    """
    half = _BLUR_PX // 2
    difference = np.abs(gray[:, half + 1 : -half] - gray[:, half : -half - 1])
    filtered = np.abs(gray[:, _BLUR_PX:] - gray[:, :-_BLUR_PX])
    total = int(difference.sum())
    lost = int(np.maximum(_BLUR_PX * difference - filtered, 0).sum())
    return 1 - lost / (_BLUR_PX * total) if total else 1.0
