"""Temporary until the scaled store is in."""

import io
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np

from tandem.images.decode import decode, pixel_id
from tandem.images.hashing import dihedral_phashes

_Box = tuple[float, float, float, float]
BoxKey = TypeVar("BoxKey", bound=_Box | None)


class Quality(NamedTuple):
    """Of an image."""

    blur: float
    brightness: float
    entropy: float


class EncodedImage(NamedTuple):
    """An image to be stored. width, height: px of the original. hashes: (8, 32) uint8."""

    id: str
    extension: str
    data: bytes
    width: int
    height: int
    hashes: np.ndarray
    quality: Quality


def encode_images(
    data: bytes, boxes: Iterable[BoxKey], *, min_side_px: int, max_pixels: int, max_side_px: int | None
) -> dict[BoxKey, EncodedImage]:
    """The image and crops of a file. Raises CorruptImageError."""
    decoded, own_extension = decode(data, min_side_px=min_side_px, max_pixels=max_pixels)
    found = {}
    for box in boxes:
        image, extension, kept = decoded, own_extension, data
        if box is not None:
            x, y, width, height = box
            left = min(round(x * image.width), image.width - 1)
            top = min(round(y * image.height), image.height - 1)
            right, bottom = round((x + width) * image.width), round((y + height) * image.height)
            image = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        if box is not None or extension is None:
            buffer = io.BytesIO()
            image.save(buffer, "PNG", compress_level=1)
            kept, extension = buffer.getvalue(), "png"
        found[box] = EncodedImage(
            pixel_id(image), extension, kept, image.width, image.height, dihedral_phashes(image), Quality(0, 0, 0)
        )
    return found
