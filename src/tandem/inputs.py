"""Encoded bytes to a backbone's input: the one transform of extraction, fine-tuning and prediction.

The pixels are those of images.decode. For plain JPEGs, which are most, simplejpeg finds them in half of Pillow's time,
and torch resizes in half of it.
"""

from contextlib import suppress

import numpy as np
import simplejpeg
import torch
from torch.nn import functional

from tandem.images import Resize, decode, is_plain_jpeg

_CROP_SHARE = 224 / 256  # torchvision's evaluation crop: resize to 256, keep the central 224


def read_input(data: bytes, *, size_px: int, resize: Resize) -> np.ndarray:
    """(size_px, size_px, 3) uint8 of a picture of any size. Raises BrokenImage as images.decode does."""
    return to_input(pixels(data), size_px=size_px, resize=resize)


def pixels(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8, upright RGB, the same as images.decode gives. Raises BrokenImage as that does."""
    if is_plain_jpeg(data):
        with suppress(ValueError):  # what it cannot read, Pillow can or has a reason not to
            return simplejpeg.decode_jpeg(data, "RGB")
    return np.array(decode(data, min_side_px=1, max_pixels=2**63).image)


def to_input(image: np.ndarray, *, size_px: int, resize: Resize) -> np.ndarray:
    """(size_px, size_px, 3) uint8: squashed to a square, or the central crop of torchvision's evaluation transform.

    image: (H, W, 3) uint8, writable.
    """
    if resize == "squash":
        return _scaled(image, size_px, size_px)
    height, width = image.shape[:2]
    side, short = round(size_px / _CROP_SHARE), min(height, width)
    scaled = _scaled(image, side * height // short, side * width // short)
    top, left = round((scaled.shape[0] - size_px) / 2), round((scaled.shape[1] - size_px) / 2)
    return scaled[top : top + size_px, left : left + size_px]


def _scaled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    channels_last = torch.from_numpy(image).permute(2, 0, 1)[None]  # the layout that torch resizes fast
    scaled = functional.interpolate(channels_last, (height, width), mode="bilinear", antialias=True)
    return scaled[0].permute(1, 2, 0).numpy()
