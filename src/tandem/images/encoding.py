"""An image file's bytes to what is stored of it: decoded once in its life, at most of a given size.

A file that is small enough keeps its own bytes where they hold exactly its upright RGB pixels; otherwise, and for
crops, it is a PNG of them. What is larger is scaled and stored as JPEG, which later costs what a JPEG file of that size
does; PNGs and lossless WebPs of photographs took six to ten times as long to decode.

A JPEG at least twice as large is scaled while it is decoded, and never decoded fully.

Two images have the same id when all of their pixels, before scaling, are known to be the same. Where all are decoded
they are compared themselves (decode.pixel_id); a JPEG that is scaled while decoding is compared by its bytes without
metadata (identity.jpeg_id). So a JPEG of at least twice `max_side_px` and a PNG of the same pixels are two images, and
one image where the limit is higher; nothing else depends on the limit.
"""

import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from tandem.images.decode import decode, decode_jpeg, jpeg_orientation, pixel_id, turn_upright
from tandem.images.hashing import dihedral_phashes
from tandem.images.identity import jpeg_id
from tandem.images.quality import Quality, measure_quality

# Nearer to the original at a network's input than quality 95 with halved chroma, which is larger and decoded as fast.
_JPEG_QUALITY, _JPEG_SUBSAMPLING = 90, "444"

_FILTER = Image.Resampling.BICUBIC

_FIRST_SIDEWAYS = 5  # of EXIF's orientations

_Box = tuple[float, float, float, float]


class EncodedImage(NamedTuple):
    """What is stored of an image or crop. data: the bytes of a file of this extension.

    id: 32 hex digits. width, height: in pixels, upright, before scaling. hashes: (8, 32) uint8, by
    tandem.images.hashing; these and the quality are of the image as it is stored, before it is encoded.
    """

    id: str
    extension: str
    data: bytes
    width: int
    height: int
    hashes: np.ndarray
    quality: Quality


def encode_images(
    data: bytes, boxes: Iterable[_Box | None], *, min_side_px: int, max_pixels: int, max_side_px: int | None
) -> dict[_Box | None, EncodedImage]:
    """The image that a file holds, or crops of it, each as if it were asked for alone.

    boxes: left, top, width and height of a crop in fractions of the upright image; None for the whole image. The limits
    min_side_px and max_pixels are for the whole image, before scaling. max_side_px: of what is stored, None for any.
    Raises CorruptImageError like images.decode.
    """
    limits = {"min_side_px": min_side_px, "max_pixels": max_pixels}
    found = dict[_Box | None, EncodedImage | None].fromkeys(boxes)
    if None in found and max_side_px is not None:
        scaled = _scaled_while_decoding(data, max_side_px, **limits)
        found[None] = scaled and _encoded_scaled(data, scaled)
    if not all(found.values()):
        image, extension = decode(data, **limits)
        for box in (box for box, encoded in found.items() if encoded is None):
            if box is None:
                found[box] = _encoded(image, max_side_px, file=(data, extension) if extension else None)
            else:
                found[box] = _encoded(_crop(image, box), max_side_px)
    return {box: encoded for box, encoded in found.items() if encoded}


def stored_pixels(data: bytes, *, max_pixels: int, max_side_px: int | None) -> np.ndarray:
    """(H, W, 3) uint8: what any reader sees of a whole image after encode_images has stored it.

    So a prediction sees what was trained and scored on. Raises CorruptImageError like images.decode.
    """
    limits = {"min_side_px": 1, "max_pixels": max_pixels}
    if max_side_px is not None and (scaled := _scaled_while_decoding(data, max_side_px, **limits)):
        return simplejpeg.decode_jpeg(_jpeg(scaled.image), "RGB")
    image, _ = decode(data, **limits)
    if max_side_px is None or max(image.size) <= max_side_px:
        return np.array(image)
    return simplejpeg.decode_jpeg(_jpeg(_scaled_down(image, max_side_px)), "RGB")


class _Scaled(NamedTuple):
    """A JPEG that was scaled while it was decoded. image: upright. size: of the file as it lies, by its header."""

    image: Image.Image
    size: tuple[int, int]
    orientation: int


def _scaled_while_decoding(data: bytes, max_side_px: int, **limits: int) -> _Scaled | None:
    """Of a JPEG at least twice as large as what is stored; None of all else."""
    orientation = jpeg_orientation(data)
    if orientation is None or not (size := _jpeg_size(data)) or max(size) < 2 * max_side_px:
        return None
    target = _fit(size, max_side_px)
    image = decode_jpeg(data, min_size=target, **limits)
    if image is None:
        return None
    return _Scaled(turn_upright(image.resize(target, _FILTER), orientation), size, orientation)


def _encoded_scaled(data: bytes, scaled: _Scaled) -> EncodedImage:
    image, size, orientation = scaled
    id_ = jpeg_id(data, orientation=orientation)
    return _described(image, id_, _jpeg(image), "jpg", size if orientation < _FIRST_SIDEWAYS else size[::-1])


def _encoded(image: Image.Image, max_side_px: int | None, *, file: tuple[bytes, str] | None = None) -> EncodedImage:
    """Of an image that was decoded fully. file: the bytes and extension of one that holds exactly these pixels."""
    id_ = pixel_id(image)
    if max_side_px is not None and max(image.size) > max_side_px:
        scaled = _scaled_down(image, max_side_px)
        return _described(scaled, id_, _jpeg(scaled), "jpg", image.size)
    data, extension = file or (_png(image), "png")
    return _described(image, id_, data, extension, image.size)


def _described(stored: Image.Image, id_: str, data: bytes, extension: str, size: tuple[int, int]) -> EncodedImage:
    gray = stored.convert("L")
    return EncodedImage(id_, extension, data, *size, dihedral_phashes(gray), measure_quality(gray))


def _crop(image: Image.Image, box: _Box) -> Image.Image:
    """At least a pixel of it."""
    left, top = min(round(box[0] * image.width), image.width - 1), min(round(box[1] * image.height), image.height - 1)
    right, bottom = round((box[0] + box[2]) * image.width), round((box[1] + box[3]) * image.height)
    return image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def _fit(size: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    """The size at which the longer side of a larger image is `max_side_px`."""
    longer = max(size)
    width, height = (max(1, round(side * max_side_px / longer)) for side in size)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return width, height


def _scaled_down(image: Image.Image, max_side_px: int) -> Image.Image:
    return image.resize(_fit(image.size, max_side_px), _FILTER)


def _jpeg(image: Image.Image) -> bytes:
    return simplejpeg.encode_jpeg(np.asarray(image), _JPEG_QUALITY, "RGB", _JPEG_SUBSAMPLING)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
