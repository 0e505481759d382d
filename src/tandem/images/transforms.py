"""Encoded bytes to a backbone's input: the one transform of extraction, fine-tuning and prediction.

The pixels are those of images.decode. For plain JPEGs, which are most, simplejpeg decodes them in half of the time that
Pillow takes, and torch resizes in half of it.
"""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
import simplejpeg

from tandem.images.decode import Resize, is_plain_jpeg
from tandem.images.encoding import stored_pixels
from tandem.images.scaling import Scale, scale_by_torch
from tandem.types import Interpolation

ANY_SIZE = 2**63  # pixels of an image
_CROP_FRACTION = 224 / 256  # torchvision's evaluation crop: resize to 256, keep the central 224


class TtaView(NamedTuple):
    """A view of an image, for augmentation at test time. box: left, top, right, bottom as fractions of its sides."""

    box: tuple[float, float, float, float] = (0, 0, 1, 1)
    is_mirrored: bool = False
    brightness: float = 1.0


# The image itself first; k views are the first k of these.
TTA_VIEWS = (
    TtaView(),
    TtaView(is_mirrored=True),
    TtaView((0.1, 0.1, 0.9, 0.9)),
    TtaView((0.1, 0.1, 0.9, 0.9), is_mirrored=True),
    TtaView((0, 0, 0.8, 0.8)),
    TtaView((0.2, 0, 1, 0.8), is_mirrored=True),
    TtaView((0, 0.2, 0.8, 1), is_mirrored=True),
    TtaView((0.2, 0.2, 1, 1)),
    TtaView(brightness=0.75),
    TtaView(brightness=1.25, is_mirrored=True),
)


def load_transformed(
    data: bytes,
    *,
    size_px: int,
    resize: Resize,
    interpolation: Interpolation,
    tta_views: int = 1,
    scale: Scale = scale_by_torch,
    max_pixels: int = ANY_SIZE,
    max_side_px: int | None = None,
) -> np.ndarray:
    """(tta_views, size_px, size_px, 3) uint8 of an image. Raises CorruptImageError like images.decode.

    scale: with torch or without, which gives the same bytes. max_side_px: a larger image is first made what ingest
    stores of it; None for an image that is stored.
    """
    out = np.empty((tta_views, size_px, size_px, 3), np.uint8)
    fill_transformed(
        data,
        out,
        resize=resize,
        interpolation=interpolation,
        scale=scale,
        max_pixels=max_pixels,
        max_side_px=max_side_px,
    )
    return out


def fill_transformed(
    data: bytes,
    out: np.ndarray,
    *,
    resize: Resize,
    interpolation: Interpolation,
    scale: Scale = scale_by_torch,
    max_pixels: int = ANY_SIZE,
    max_side_px: int | None = None,
) -> None:
    """Write the same to `out`: as many views, and of that size, as it has room for."""
    image = decode_pixels(data, max_pixels=max_pixels, max_side_px=max_side_px)
    for pixels, view in zip(out, TTA_VIEWS, strict=False):
        crop = _crop_of(image, view)
        square = resize_image(crop, size_px=out.shape[1], resize=resize, interpolation=interpolation, scale=scale)
        pixels[:] = _finish(square, view)


def decode_pixels(data: bytes, *, max_pixels: int = ANY_SIZE, max_side_px: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8, upright RGB, the same as images.encoding.stored_pixels gives.

    Raises CorruptImageError like images.decode.
    """
    if is_plain_jpeg(data):
        with suppress(ValueError):  # what it cannot read, Pillow reads, or says why not
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            if height * width <= max_pixels and max(height, width) <= (max_side_px or ANY_SIZE):
                return simplejpeg.decode_jpeg(data, "RGB")
    return stored_pixels(data, max_pixels=max_pixels, max_side_px=max_side_px)


def resize_image(
    image: np.ndarray,
    *,
    size_px: int,
    resize: Resize,
    interpolation: Interpolation,
    scale: Scale = scale_by_torch,
) -> np.ndarray:
    """(size_px, size_px, 3) uint8: squashed to a square, or the central crop of torchvision's evaluation transform.

    image: (H, W, 3) uint8, writable.
    """
    if resize == "squash":
        return scale(image, size_px, size_px, interpolation)
    height, width = image.shape[:2]
    side, short = round(size_px / _CROP_FRACTION), min(height, width)
    scaled = scale(image, side * height // short, side * width // short, interpolation)
    top, left = round((scaled.shape[0] - size_px) / 2), round((scaled.shape[1] - size_px) / 2)
    return scaled[top : top + size_px, left : left + size_px]


def _crop_of(image: np.ndarray, view: TtaView) -> np.ndarray:
    height, width = image.shape[:2]
    left, top, right, bottom = (round(edge * side) for edge, side in zip(view.box, [width, height] * 2, strict=True))
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def _finish(pixels: np.ndarray, view: TtaView) -> np.ndarray:
    if view.brightness != 1:
        pixels = (pixels * view.brightness).clip(0, 255).round().astype(np.uint8)
    return pixels[:, ::-1] if view.is_mirrored else pixels
