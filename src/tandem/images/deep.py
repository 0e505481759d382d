"""Images of more than 8 bits a channel to 8 bits, by the bits that their values really use.

Microscopes, X-ray and industrial cameras store 10 or 12 bits in files of 16. Taken for 16 bits they are nearly black:
at most 16 of 255. The rule, for each image by itself: white is 2^b - 1, where b is what the file's tags state, if it is
below 16 and all values fit (PNG sBIT, TIFF BitsPerSample and MaxSampleValue); else the first of 8, 10, 12 bits that all
values fit; else 16 bits, or the largest value where that is above. So an image of 12 bits is not told from a very dark
one of 16.
"""

import re
from typing import Any

import numpy as np
from PIL import Image

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281
_SBIT = re.compile(rb"\0\0\0[\x01-\x04]sBIT(.)", re.DOTALL)
_LIKELY_BITS = (8, 10, 12)
_NEARLY_BLACK = 15  # of 255: the most that 12 bits in 16 come to


def is_deep_gray(image: Image.Image) -> bool:
    """Whether an opened image has one channel of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def is_deep_color(image: Image.Image) -> bool:
    """Whether an opened image that is not loaded yet has several channels of 16 bits, of which Pillow keeps 8."""
    return not is_deep_gray(image) and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def deep_gray_to_rgb(image: Image.Image, data: bytes) -> Image.Image:
    """RGB of a loaded image of one deep channel. data: the encoded bytes, which may state how many bits are used."""
    gray = np.asarray(image, dtype=np.float32)
    if image.mode == "F":
        gray = np.where(np.isfinite(gray), gray, 0)
        white = max(float(gray.max()), 1.0)
    else:
        white = _white(float(gray.max()), _stated_bits(image, data))
    return Image.fromarray(_to_8_bits(gray, white)).convert("RGB")


def deep_color_to_8_bits(image: Image.Image, data: bytes) -> Image.Image:
    """A loaded image of 16 bits a channel, read again with all of them where 8 leave it nearly black; else itself."""
    channels = np.asarray(image)
    colors = channels[..., :3] if channels.shape[-1] > 2 else channels[..., :1]
    if colors.max() > _NEARLY_BLACK:
        return image
    import cv2  # for such images alone: it takes longer to load than all other readers

    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3 or deep.shape[:2] != (image.height, image.width):
        return image
    white = _white(float(deep[..., :3].max()), _stated_bits(image, data))
    rgb = Image.fromarray(_to_8_bits(deep[..., 2::-1].astype(np.float32), white))
    if image.mode in ("RGBA", "LA"):
        rgb.putalpha(image.getchannel("A"))
    return rgb


def _white(largest: float, stated_bits: int | None) -> float:
    bits = (*((stated_bits,) if stated_bits else ()), *_LIKELY_BITS, 16)
    return next((float(2**each - 1) for each in bits if largest < 2**each), largest)


def _stated_bits(image: Image.Image, data: bytes) -> int | None:
    """How many bits of each value the file's tags say are used; None where they say nothing, or all of them."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.format == "PNG":
        found = _SBIT.search(data, 0, max(0, data.find(b"IDAT")))
        bits = found[1][0] if found else 0
    elif largest := tags.get(_MAX_SAMPLE_VALUE):
        bits = int(_first(largest)).bit_length()
    else:
        bits = int(_first(tags.get(_BITS_PER_SAMPLE, 0)))
    return bits if 0 < bits < 16 else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _to_8_bits(values: np.ndarray, white: float) -> np.ndarray:
    return (np.clip(values / white, 0, 1) * 255).round().astype(np.uint8)
