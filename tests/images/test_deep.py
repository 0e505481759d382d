"""Values of 8, 10 or 12 bits in files of 16 are not left nearly black, and real 16 bits stay what they were."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tandem.images.decode import decode

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)


def encoded(values: np.ndarray, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format, **options)
    return buffer.getvalue()


def encoded_color(values: np.ndarray, format: str) -> bytes:
    """By OpenCV, since Pillow writes no color of 16 bits."""
    return bytes(cv2.imencode(f".{format.lower()}", values[..., [2, 1, 0, 3][: values.shape[-1]]])[1])


def of_bits(bits: int, fraction: float = 1.0) -> np.ndarray:
    return (RAMP * fraction * (2**bits - 1)).round().astype(np.uint16)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, min_side_px=8, max_pixels=10**6).image).astype(int)


def with_sbit(data: bytes, bits: int) -> bytes:
    body = b"sBIT" + bytes([bits])
    chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_white_is_the_largest_value_of_the_bits_in_use(format: str, bits: int) -> None:
    gray = decoded(encoded(of_bits(bits), format))
    assert np.abs(gray[..., 0] - RAMP * 255).max() <= 1
    color = np.dstack([of_bits(bits), of_bits(bits, 0.9)[::-1], of_bits(bits, 0.8)])
    data = encoded_color(color, format)
    found = decoded(data)
    for channel, expected in enumerate((RAMP, RAMP[::-1] * 0.9, RAMP * 0.8)):
        assert np.abs(found[..., channel] - expected * 255).max() <= 1.5
    if bits < 16:
        assert decode(data, min_side_px=8, max_pixels=10**6).extension is None, "its bytes show other pixels"


@pytest.mark.parametrize(("largest", "white"), [(4095, 4095), (4096, 65_535), (1023, 1023), (1024, 4095), (255, 255)])
def test_the_bits_are_the_fewest_that_hold_all_values(largest: int, white: int) -> None:
    values = (RAMP * largest).round().astype(np.uint16)
    assert decoded(encoded(values, "PNG")).max() == round(largest / white * 255)


def test_tags_go_before_the_values_where_these_fit() -> None:
    dark = encoded(of_bits(14, 0.1), "PNG")  # 1638 at most, which 12 bits would hold
    assert decoded(dark).max() == round(1638 / 4095 * 255)
    assert decoded(with_sbit(dark, 14)).max() == round(1638 / 16_383 * 255)
    assert decoded(with_sbit(encoded(of_bits(16), "PNG"), 12)).max() == 255
    for tags in ({281: 16_383}, {281: (16_383,)}):
        assert decoded(encoded(of_bits(14, 0.1), "TIFF", tiffinfo=tags)).max() == round(1638 / 16_383 * 255)


def test_a_tiff_of_12_bits_is_taken_for_one() -> None:
    data = bytearray(encoded(of_bits(12, 0.2), "TIFF"))
    assert decoded(bytes(data)).max() == round(819 / 1023 * 255)
    at = data.index(struct.pack("<HHI", 258, 3, 1))
    packed = np.array([0x12, 0x3F, 0xFF] * 32 * 64, dtype=np.uint8)  # two values of 12 bits in three bytes
    pixels = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 273, 4, 1)) + 8)[0]
    data[at + 8 : at + 10] = struct.pack("<H", 12)
    data[pixels : pixels + len(packed)] = packed.tobytes()
    assert decoded(bytes(data))[0, :2, 0].tolist() == [round(0x123 / 4095 * 255), 255]


def test_transparency_of_deep_color_shows_white() -> None:
    alpha = np.full(RAMP.shape, 65_535, np.uint16)
    alpha[:32] = 0
    found = decoded(encoded_color(np.dstack([of_bits(12)] * 3 + [alpha]), "PNG"))
    assert (found[:32] == 255).all()
    assert np.abs(found[32:, :, 0] - RAMP[32:] * 255).max() <= 1


def test_a_black_image_stays_black_and_more_than_16_bits_do_not_turn_white() -> None:
    assert decoded(encoded(np.zeros((16, 16), np.uint16), "PNG")).max() == 0
    large = (RAMP * 2**20).astype(np.int32)
    assert np.abs(decoded(encoded(large, "TIFF"))[..., 0] - RAMP * 255).max() <= 1


def test_infinite_values_do_not_make_an_image_black() -> None:
    values = RAMP.astype(np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.inf, -np.inf, np.nan
    assert np.abs(decoded(encoded(values, "TIFF"))[1:, :, 0] - RAMP[1:] * 255).max() <= 1
