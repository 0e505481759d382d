"""Encoded bytes to upright RGB pixels, the same in merge, extraction and prediction (by tandem.images.transforms).

A sound JPEG in RGB or gray is decoded once, by simplejpeg, which raises where libjpeg warns. What it does not take, and
all else, is read by Pillow and judged by tandem.images.damage.
"""

import hashlib
import io
import re
import struct
import zlib
from functools import cache
from typing import Literal, NamedTuple

import simplejpeg
from PIL import Image, UnidentifiedImageError

from tandem.errors import CorruptImageError
from tandem.files import is_lfs_pointer
from tandem.images.damage import image_damage, png_without_metadata
from tandem.images.deep import deep_color_to_8_bits, deep_gray_to_rgb, is_deep_color, is_deep_gray
from tandem.images.signatures import begins_as

Resize = Literal["squash", "crop"]

# decode() checks the size against its own limit before it loads a pixel; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000")  # Pillow knows more, EPS by Ghostscript
# Pillow takes much for these two, which have no signature or a short one.
_TGA_HEADER = re.compile(
    rb".(?:\x01[\x01\x09].{4}[\x0f\x10\x18\x20]|\x00[\x02\x03\x0a\x0b]\x00{5}).{8}[\x01\x08\x10\x18\x20]", re.DOTALL
)
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a phone's JPEG with a second image
UPRIGHT, _ORIENTATION_TAG = 1, 0x0112
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_APP1, _SOS, _FILL = (
    0xE1,
    0xDA,
    0xFF,
)  # of a JPEG: EXIF or XMP, which state the orientation; the end of the header; padding
_MIN_FACTOR = 2  # decoding to 5/8, 6/8 or 7/8 takes longer than decoding fully: libjpeg has no fast steps for it
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # number of components
# All that Pillow was seen to raise on corrupt data.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, ArithmeticError, RuntimeError,
    struct.error, zlib.error,
)  # fmt: skip


class Decoded(NamedTuple):
    """image: upright RGB. extension: set when the bytes themselves hold these pixels as plain RGB or gray."""

    image: Image.Image
    extension: str | None


def decode(data: bytes, *, min_side_px: int, max_pixels: int) -> Decoded:
    """Decode by content, turn by EXIF orientation, convert every mode to RGB (transparency over white).

    Metadata that cannot be read costs no image. Raises CorruptImageError with reason empty, lfs_pointer, not_an_image,
    too_large, too_small or truncated.
    """
    if not data:
        raise CorruptImageError("empty", "the file is empty")
    limits = {"min_side_px": min_side_px, "max_pixels": max_pixels}
    orientation = jpeg_orientation(data)
    if orientation is not None:
        image = decode_jpeg(data, min_side_px=min_side_px, max_pixels=max_pixels)
        if image is not None:
            return Decoded(turn_upright(image, orientation), "jpg" if orientation == UPRIGHT else None)
    try:
        return _decode(data, **limits)
    except CorruptImageError as error:
        if error.reason not in ("not_an_image", "truncated") or begins_as(data) != "PNG":
            raise
    # any reader would stumble over these bytes: the pixels are saved anew
    return Decoded(_decode(png_without_metadata(data), **limits).image, None)


def _decode(data: bytes, *, min_side_px: int, max_pixels: int) -> Decoded:
    try:
        image = Image.open(io.BytesIO(data), formats=_formats(data))
    except UnidentifiedImageError:
        raise _no_image(data) from None
    except _DECODE_ERRORS as error:
        raise _truncated(error) from None
    width, height = image.size
    if width * height > max_pixels:
        raise CorruptImageError("too_large", f"{width} x {height} pixels; at most {max_pixels} are allowed")
    if min(width, height) < min_side_px:
        raise CorruptImageError("too_small", f"{width} x {height} pixels; the shorter side needs {min_side_px}")
    deep_color = is_deep_color(image)
    try:
        image.load()
        shallow = deep_color_to_8_bits(image, data) if deep_color else image
        orientation = _orientation(image)
        upright = turn_upright(_rgb(shallow, data), orientation)
    except _DECODE_ERRORS as error:
        raise _truncated(error) from None
    if damage := image_damage(data, image.format or ""):
        raise _truncated(damage)
    is_plain = image.mode in ("RGB", "L") and orientation == UPRIGHT and "transparency" not in image.info
    upright.info = {}  # saved again, it must not be turned or made transparent once more
    return Decoded(upright, _EXTENSIONS.get(image.format or "") if is_plain and shallow is image else None)


def decode_jpeg(
    data: bytes, *, min_side_px: int, max_pixels: int, min_size: tuple[int, int] | None = None
) -> Image.Image | None:
    """A JPEG in RGB or gray as RGB, not turned; None where decode() must judge: libjpeg warns, or it is out of limits.

    min_size: the least width and height that are wanted; it is scaled down by 2 to 8 while it is decoded where that
    leaves as much. The limits are those of the full size.
    """
    width, height = min_size or (0, 0)
    try:
        full_height, full_width, *_ = simplejpeg.decode_jpeg_header(data)
        if full_width * full_height > max_pixels or min(full_width, full_height) < min_side_px:
            return None
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_width=width, min_height=height, min_factor=_MIN_FACTOR)
    except ValueError:
        return None
    return Image.fromarray(pixels)


def upright_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of the image that decode() makes of the bytes, by its header; None for no image."""
    try:
        image = Image.open(io.BytesIO(data), formats=_formats(data))
    except _DECODE_ERRORS:  # an UnidentifiedImageError is an OSError
        return None
    width, height = image.size
    is_turned = (
        image.format != "TIFF" and _orientation(image) in _SIDEWAYS
    )  # Pillow turns TIFF itself, its size at once
    return (height, width) if is_turned else (width, height)


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as it is meant to be seen. orientation: 1 to 8, by EXIF."""
    return image if orientation == UPRIGHT else image.transpose(_TO_UPRIGHT[orientation])


def _orientation(image: Image.Image) -> int:
    """What its EXIF data states, 1 to 8; 1 where they state nothing, or cannot be read."""
    try:
        stated = image.getexif().get(_ORIENTATION_TAG, UPRIGHT)
        return int(stated) if stated in _TO_UPRIGHT else UPRIGHT
    except _DECODE_ERRORS:
        return UPRIGHT


def is_plain_jpeg(data: bytes) -> bool:
    """Whether the image is a JPEG in RGB or gray that is upright as it is; False where that is not known."""
    return jpeg_orientation(data) == UPRIGHT


def jpeg_orientation(data: bytes) -> int | None:
    """The orientation of a JPEG in RGB or gray, 1 to 8 by EXIF; None for all else, and where that is not known."""
    if _is_bare_jpeg(data):
        return UPRIGHT
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS[:1])
    except _DECODE_ERRORS:  # an UnidentifiedImageError is an OSError
        return None
    return _orientation(image) if image.mode in ("RGB", "L") else None


def _is_bare_jpeg(data: bytes) -> bool:
    """Whether it has one or three components and no EXIF or XMP segment, in a tenth of the time that Pillow takes."""
    offset, num_components = 2, 0
    while data[:2] == b"\xff\xd8" and data[offset : offset + 1] == b"\xff" and offset + 9 < len(data):
        marker = data[offset + 1]
        if marker in (_APP1, _SOS, _FILL):
            return marker == _SOS and num_components in (1, 3)
        if marker in _SOF:
            num_components = data[offset + 9]
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    return False


def pixel_id(image: Image.Image) -> str:
    """32 hex digits of the sha256 over size and RGB bytes: equal exactly when the pixels are."""
    digest = hashlib.sha256(f"{image.width}x{image.height}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()[:32]


def _formats(data: bytes) -> tuple[str, ...]:
    if begins_as(data) == "PPM":
        return ("PPM",)
    if _is_heif(data) and can_read_heif():
        return (*_FORMATS, "HEIF")  # the brand mif1 stands for either
    return ("TGA",) if _TGA_HEADER.match(data) else _FORMATS


def _is_heif(data: bytes) -> bool:
    return begins_as(data) == "HEIF"


@cache
def can_read_heif() -> bool:
    """Whether the images of iPhones can be read here; then Pillow knows how."""
    try:
        import pi_heif  # for such images alone
    except ImportError:
        return False
    pi_heif.register_heif_opener()
    return True


def _no_image(data: bytes) -> CorruptImageError:
    if _is_heif(data):
        if can_read_heif():
            return _truncated("its boxes cannot be read")
        return CorruptImageError("not_an_image", "a HEIC image, which pi-heif reads: `pip install pi-heif`")
    if is_lfs_pointer(data):
        pull = "run `git lfs pull` in the clone that it comes from, then get the source again"
        return CorruptImageError("lfs_pointer", f"a pointer of Git LFS, not the image itself: {pull}")
    return CorruptImageError("not_an_image", f"not an image in a known format ({', '.join(_FORMATS)}, PPM, TGA, HEIF)")


def _truncated(error: Exception | str) -> CorruptImageError:
    return CorruptImageError("truncated", f"the image's data ends early or is corrupt ({error})")


def _rgb(image: Image.Image, data: bytes) -> Image.Image:
    if is_deep_gray(image):
        return deep_gray_to_rgb(image, data)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        transparent = image.convert("RGBA")
        white = Image.new("RGBA", transparent.size, "white")
        return Image.alpha_composite(white, transparent).convert("RGB")
    return image.convert("RGB")
