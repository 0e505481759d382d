"""Damage that Pillow does not see is found, and what only looks like damage is left alone."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.errors import CorruptImageError
from tandem.images.damage import image_damage
from tandem.images.decode import decode

END = b"\xff\xd9"
JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "optimized": {"optimize": True},
    "restart markers": {"restart_marker_blocks": 4},
}


def photo(mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120)).convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def reason(data: bytes) -> str:
    try:
        decode(data, min_side_px=8, max_pixels=10**6)
    except CorruptImageError as error:
        return error.reason
    return ""


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7, 0.9, 0.97])
def test_a_jpeg_that_pillow_fills_with_gray_is_truncated(options: dict[str, Any], fraction: float) -> None:
    whole = encoded(photo(), "JPEG", quality=90, **options)
    kept = whole[: int(len(whole) * fraction)]
    rest = len(whole) - len(kept)
    for damaged in (kept + END, kept + bytes(rest - 2) + END, kept + bytes(rest - 2) + END + b"trailing"):
        Image.open(io.BytesIO(damaged)).load()  # no error
        assert reason(damaged) == "truncated"
    for damaged in (kept, kept + bytes(rest)):
        assert reason(damaged) == "truncated"


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_hole_in_a_jpeg_is_truncated(options: dict[str, Any]) -> None:
    whole = encoded(photo(), "JPEG", quality=90, **options)
    half = len(whole) // 2
    assert reason(whole[:half] + bytes(512) + whole[half + 512 :]) == "truncated"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_cut_jpeg_of_any_colors_is_found(mode: str) -> None:
    whole = encoded(photo(mode), "JPEG")
    assert image_damage(whole, "JPEG") == ""
    assert "premature end of data segment" in image_damage(whole[: len(whole) // 2] + END, "JPEG")


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("filler", [bytes(37), b"\xff" * 40, bytes(3000), b"\x12\x34", b"\x12\x34\x56" * 5])
def test_padding_in_and_after_a_sound_jpeg_is_no_damage(options: dict[str, Any], filler: bytes) -> None:
    whole = encoded(photo(), "JPEG", **options)
    for sound in (whole, whole[:-2] + filler + END, whole + filler, whole + filler + END, whole + whole):
        assert reason(sound) == ""


@pytest.mark.parametrize("colors", ["white", "black"])
@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {"optimize": True}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("AVIF", {}),
     ("WEBP", {"lossless": True})],
)  # fmt: skip
def test_a_flat_image_of_many_zeros_is_sound(colors: str, format: str, options: dict[str, Any]) -> None:
    assert reason(encoded(Image.new("RGB", (800, 800), colors), format, **options)) == ""


@pytest.mark.parametrize(
    ("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {}), ("JPEG", {}), ("GIF", {})]
)
@pytest.mark.parametrize("fraction", [0.5, 0.7, 0.9])
def test_a_tail_of_zeros_is_truncated(format: str, options: dict[str, Any], fraction: float) -> None:
    whole = encoded(photo(), format, **options)
    kept = whole[: int(len(whole) * fraction)]
    assert reason(kept + bytes(len(whole) - len(kept))) == "truncated"


def test_a_png_of_a_wrong_checksum_is_truncated_but_not_for_its_metadata() -> None:
    data = bytearray(encoded(photo(), "PNG", dpi=(72, 72)))
    data[data.index(b"IDAT") - 8] ^= 1  # the checksum of pHYs
    assert image_damage(bytes(data), "PNG") == ""
    data[-16] ^= 1  # of IDAT
    assert image_damage(bytes(data), "PNG") == "a wrong checksum of its chunk IDAT"


def test_a_format_without_checksums_shows_no_damage() -> None:
    assert image_damage(encoded(photo(), "BMP")[:-100] + bytes(100), "BMP") == ""
