"""Decoding by content, compared with what Pillow itself does to the pixels."""

import base64
import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from tandem.errors import CorruptImageError
from tandem.images.decode import decode, is_plain_jpeg, jpeg_orientation, pixel_id, upright_size

LIMITS = {"min_side_px": 8, "max_pixels": 1_000_000}
GRAY_RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def noise(width: int = 32, height: int = 20, *, seed: int = 0) -> Image.Image:
    """No two pixels, rows or corners alike, so that no turn goes unseen."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def shapes(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "khaki")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width // 8, height // 5, width // 2, height // 2), "navy")
    draw.line((0, height, width, 0), "crimson", 5)
    return image


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    return decode(data, **LIMITS).image


def extension(data: bytes) -> str | None:
    return decode(data, **LIMITS).extension


def reason(data: bytes, **limits: int) -> str:
    with pytest.raises(CorruptImageError) as caught:
        decode(data, **{**LIMITS, **limits})
    return caught.value.reason


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png(width: int, height: int, data: bytes) -> bytes:
    """A color PNG made by hand, of any size that it claims to have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


# 48 x 32 pixels, white with a red and a navy quarter, by libheif
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABoQABAAAAAAAAAEQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAA"
    "AADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAA"
    "AAAoY2xhcAAAADAAAAABAAAAIAAAAAH////wAAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAE"
    "xtZGF0AAAAQCgBrxOA5Ta3/6SvX98YAe734xnZfkcB9aLf0wnfwqNp/M+fxeXz+r17fxH/tT+I3tUQ+mC55vEZpI8Ga7spOvQ="
)


UPRIGHT: dict[int, Callable[[Image.Image], Image.Image]] = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.rotate(180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.rotate(-90, expand=True),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.rotate(90, expand=True),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_every_exif_orientation_is_turned_upright(orientation: int, format: str) -> None:
    plain = Image.open(io.BytesIO(encoded(noise(), format))).convert("RGB")
    assert same(decoded(encoded(noise(), format, exif=with_orientation(orientation))), UPRIGHT[orientation](plain))


def test_a_corner_lies_where_a_camera_held_upright_saw_it() -> None:
    lying = Image.new("RGB", (32, 16), "white")
    lying.paste("red", (0, 0, 8, 8))
    upright = decoded(encoded(lying, "PNG", exif=with_orientation(6)))
    assert upright.size == (16, 32)
    assert upright.getpixel((12, 4)) == (255, 0, 0)  # orientation 6: the first row is the right side


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    data = encoded(noise(), "PNG", exif=with_orientation(orientation))
    assert same(decoded(data), noise())
    assert extension(data) == "png"


def test_corrupt_exif_costs_no_image() -> None:
    rational_as_text = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0"
    for exif in (rational_as_text, b"Exif\0\0junkjunkjunk"):
        data = encoded(noise(), "JPEG", exif=exif)
        assert same(decoded(data), Image.open(io.BytesIO(data)).convert("RGB"))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(data: bytes, added: bytes) -> bytes:
    """A PNG with one more chunk, before its pixels."""
    at = data.index(b"IDAT") - 4
    return data[:at] + added + data[at:]


def broken(added: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return added[:-1] + bytes([added[-1] ^ 1])


WRONG_METADATA = {
    "a profile of an unknown compression": chunk(b"iCCP", b"name\0\1junk"),
    "a profile that ends early": chunk(b"iCCP", b"name\0\0x"),
    "text beyond Pillow's limit": chunk(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(bytes(2 << 20))),
    "compressed text that is none": chunk(b"zTXt", b"key\0\7junk"),
    "a resolution of three bytes": chunk(b"pHYs", b"123"),
    "a wrong checksum": broken(chunk(b"tEXt", b"key\0words")),
    "EXIF that is none": chunk(b"eXIf", b"junkjunkjunk"),
}


@pytest.mark.parametrize("wrong", WRONG_METADATA.values(), ids=WRONG_METADATA)
def test_wrong_metadata_of_a_png_cost_no_image(wrong: bytes) -> None:
    data = with_chunk(encoded(noise(), "PNG"), wrong)
    assert same(decoded(data), noise())
    turned = with_chunk(encoded(noise(), "PNG", exif=with_orientation(3)), chunk(b"iCCP", b"name\0\1junk"))
    assert same(decoded(turned), noise().rotate(180))


def test_a_png_that_pillow_opens_only_without_its_metadata_is_saved_anew() -> None:
    assert extension(with_chunk(encoded(noise(), "PNG"), WRONG_METADATA["a profile of an unknown compression"])) is None
    assert extension(with_chunk(encoded(noise(), "PNG"), chunk(b"tEXt", b"key\0words"))) == "png"


def test_wrong_transparency_or_pixels_are_no_metadata() -> None:
    whole = with_chunk(encoded(noise(), "PNG"), chunk(b"iCCP", b"name\0\1junk"))
    assert reason(whole[: len(whole) // 2]) == "truncated"
    assert reason(with_chunk(whole, broken(chunk(b"tRNS", bytes(6))))) == "not_an_image"


@pytest.mark.parametrize(("format", "begin"), [("JPEG", b"Exif\0\0MM"), ("WEBP", b"EXIF")])
def test_exif_with_a_wrong_header_costs_no_image(format: str, begin: bytes) -> None:
    data = encoded(noise(), format, exif=with_orientation(1))
    start = data.index(begin) + (6 if format == "JPEG" else 8)
    wrong = data[:start] + b"junkjunk" + data[start + 8 :]
    assert same(decoded(wrong), decoded(data))


def test_the_colors_of_a_lab_tiff_are_converted() -> None:
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = decoded(encoded(ImageCms.applyTransform(shapes(40, 30), lab), "TIFF"))
    assert np.abs(np.asarray(converted, int) - np.asarray(shapes(40, 30), int)).max() < 40
    assert np.abs(np.asarray(converted, int) - np.asarray(shapes(40, 30), int)).mean() < 2


def test_a_turned_image_carries_nothing_that_would_turn_it_again() -> None:
    once = decoded(encoded(noise(), "JPEG", exif=with_orientation(6)))
    assert once.info == {}
    assert same(decoded(encoded(once, "PNG")), once)


def test_half_transparent_red_over_white_is_pink() -> None:
    assert decoded(encoded(Image.new("RGBA", (9, 9), (255, 0, 0, 128)), "PNG")).getpixel((4, 4)) == (255, 127, 127)


def test_transparency_shows_white_and_hides_the_color_below() -> None:
    image = noise().convert("RGBA")
    image.paste((10, 20, 30, 0), (0, 0, 16, 20))
    expected = noise()
    expected.paste("white", (0, 0, 16, 20))
    assert same(decoded(encoded(image, "PNG")), expected)
    assert same(decoded(encoded(image, "WEBP", lossless=True)), expected)


def test_gray_with_transparency_shows_white() -> None:
    image = Image.new("LA", (10, 10), (40, 255))
    image.paste((40, 0), (0, 0, 5, 10))
    found = decoded(encoded(image, "PNG"))
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((9, 9)) == (40, 40, 40)


def palette() -> Image.Image:
    image = Image.new("P", (12, 12), 0)
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    image.paste(1, (4, 0, 8, 12))
    image.paste(2, (8, 0, 12, 12))
    return image


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "TIFF"])
def test_a_palette_becomes_its_colors(format: str) -> None:
    assert same(decoded(encoded(palette(), format)), palette().convert("RGB"))


def test_a_transparent_entry_of_a_palette_shows_white() -> None:
    found = decoded(encoded(palette(), "PNG", transparency=1))
    assert [found.getpixel((x, 6)) for x in (0, 6, 10)] == [(200, 10, 10), (255, 255, 255), (10, 10, 200)]


def test_partly_transparent_entries_of_a_palette_are_mixed_with_white() -> None:
    found = decoded(encoded(palette(), "PNG", transparency=bytes([255, 0, 128])))
    whole = [found.getpixel((x, 6)) for x in (0, 6)]
    assert whole == [(200, 10, 10), (255, 255, 255)]
    assert np.allclose(found.getpixel((10, 6)), (132, 132, 228), atol=1)


@pytest.mark.parametrize(("mode", "key"), [("RGB", (1, 2, 3)), ("L", 7)])
def test_a_color_that_stands_for_transparent_shows_white(mode: str, key: Any) -> None:
    image = Image.new(mode, (10, 10), key)
    image.paste(200 if mode == "L" else (200, 200, 200), (5, 0, 10, 10))
    data = encoded(image, "PNG", transparency=key)
    assert [decoded(data).getpixel((x, 5)) for x in (0, 9)] == [(255, 255, 255), (200, 200, 200)]
    assert extension(data) is None


def test_cmyk_becomes_the_colors_that_pillow_makes_of_it() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = encoded(image, "TIFF")
    assert decoded(data).getpixel((3, 3)) == (255, 0, 0)
    jpeg = encoded(noise().convert("CMYK"), "JPEG")
    assert same(decoded(jpeg), Image.open(io.BytesIO(jpeg)).convert("RGB"))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8_not_clipped(format: str) -> None:
    found = np.asarray(decoded(encoded(Image.fromarray(GRAY_RAMP), format)))
    expected = np.rint(GRAY_RAMP.astype(np.float64) / 257)
    assert np.array_equal(found, np.repeat(expected[..., None], 3, axis=2))


def test_floating_point_grays_reach_black_and_white() -> None:
    grays = np.linspace(0, 1000, 256, dtype=np.float32).reshape(16, 16)
    found = np.asarray(decoded(encoded(Image.fromarray(grays), "TIFF")))
    assert np.array_equal(found[..., 0].ravel(), np.arange(256))


def test_a_floating_point_gray_that_is_no_number_is_black() -> None:
    grays = np.full((16, 16), 0.5, np.float32)
    grays[0, 0] = np.nan
    found = decoded(encoded(Image.fromarray(grays), "TIFF"))
    assert [found.getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0), (128, 128, 128)]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit_becomes_black_and_white(format: str) -> None:
    bits = noise().convert("1")
    assert same(decoded(encoded(bits, format)), bits.convert("RGB"))


def test_of_a_moving_image_the_first_frame_is_taken() -> None:
    first, second = palette(), palette().rotate(90)
    assert same(decoded(encoded(first, "GIF", save_all=True, append_images=[second])), first.convert("RGB"))
    color, turned = noise(), noise(seed=1)
    for options in ({"format": "WEBP", "lossless": True}, {"format": "PNG"}):
        assert same(decoded(encoded(color, **options, save_all=True, append_images=[turned])), color)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA"])
def test_an_image_is_known_by_its_content(format: str) -> None:
    data = encoded(noise(), format)
    assert same(decoded(data), Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (partial(encoded, noise(), "JPEG"), "jpg"),
        (partial(encoded, noise(), "JPEG", progressive=True), "jpg"),
        (partial(encoded, noise(), "MPO", save_all=True, append_images=[noise(seed=1)]), "jpg"),
        (partial(encoded, noise().convert("L"), "JPEG"), "jpg"),
        (partial(encoded, noise(), "PNG"), "png"),
        (partial(encoded, noise().convert("L"), "PNG"), "png"),
        (partial(encoded, noise(), "WEBP"), "webp"),
        (partial(encoded, noise(), "JPEG", exif=with_orientation(1)), "jpg"),
        (partial(encoded, noise(), "JPEG", exif=with_orientation(3)), None),
        (partial(encoded, noise().convert("CMYK"), "JPEG"), None),
        (partial(encoded, noise().convert("RGBA"), "PNG"), None),
        (partial(encoded, noise().convert("RGBA"), "WEBP"), "webp"),  # Pillow drops an alpha that is nowhere used
        (partial(encoded, noise().convert("LA"), "PNG"), None),
        (partial(encoded, noise().convert("1"), "PNG"), None),
        (partial(encoded, palette(), "PNG"), None),
        (partial(encoded, Image.fromarray(GRAY_RAMP), "PNG"), None),
        (partial(encoded, noise(), "BMP"), None),
        (partial(encoded, noise(), "GIF"), None),
        (partial(encoded, noise(), "TIFF"), None),
        (partial(encoded, noise(), "AVIF"), None),
        (partial(encoded, noise(), "JPEG2000"), None),
        (partial(encoded, noise(), "PPM"), None),
        (partial(encoded, noise(), "TGA"), None),
    ],
)
def test_bytes_are_kept_only_where_any_reader_sees_the_same_pixels(make: Callable[[], bytes], kept: str | None) -> None:
    data = make()
    image, found = decode(data, **LIMITS)
    assert found == kept
    if kept:
        plain = Image.open(io.BytesIO(data))
        assert plain.mode in ("RGB", "L")
        assert same(plain.convert("RGB"), image)


def test_an_empty_file_is_empty() -> None:
    assert reason(b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b'{"error": "no such image"}',
        b"%PDF-1.7\n" + bytes(500),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n",  # would start Ghostscript
        bytes(1000),
        b"P1 is where the race began, and P2 where it ended",
        b"\x0a\x00\x02 not a TGA" + bytes(100),
        b"\xff\xd8",
    ],
)
def test_what_is_no_image_says_so(data: bytes) -> None:
    with pytest.raises(CorruptImageError, match=r"not an image in a known format \(JPEG, PNG") as caught:
        decode(data, **LIMITS)
    assert caught.value.reason == "not_an_image"


def test_a_heic_of_a_phone_is_read() -> None:
    pytest.importorskip("pi_heif")
    found = decode(HEIC, **LIMITS)
    assert (found.image.size, found.extension) == ((48, 32), None)
    corners = np.array([found.image.getpixel(place) for place in ((4, 4), (44, 4), (4, 28), (44, 28))])
    assert np.abs(corners - [[255, 0, 0], [255, 255, 255], [255, 255, 255], [0, 0, 128]]).max() <= 3
    for cut in (60, 200, len(HEIC) - 20):
        assert reason(HEIC[:cut]) == "truncated"


def test_a_heic_without_its_reader_says_what_it_is() -> None:
    """In an interpreter that does not find the reader, as where it was not installed."""
    code = (
        "import sys; sys.modules['pi_heif'] = None\n"
        "from tandem.images.decode import decode\n"
        "decode(sys.stdin.buffer.read(), min_side_px=8, max_pixels=10**6)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=HEIC, capture_output=True, check=False)
    assert b"CorruptImageError: a HEIC image, which pi-heif reads: `pip install pi-heif`" in done.stderr


@pytest.mark.parametrize(
    ("mode", "options"), [("RGB", {}), ("L", {}), ("P", {}), ("RGBA", {}), ("RGB", {"compression": "tga_rle"})]
)
def test_a_tga_is_known_in_each_of_its_kinds(mode: str, options: dict[str, str]) -> None:
    image = palette() if mode == "P" else noise().convert(mode)
    assert same(decoded(encoded(image, "TGA", **options)), image.convert("RGB"))


def test_a_pointer_of_git_lfs_says_how_to_get_the_image() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
    with pytest.raises(CorruptImageError, match=r"a pointer of Git LFS.*run `git lfs pull`") as caught:
        decode(pointer, **LIMITS)
    assert caught.value.reason == "lfs_pointer"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "JPEG2000", "PPM", "TGA"])
def test_an_image_cut_off_half_way_is_truncated(format: str) -> None:
    data = encoded(noise(64, 64), format)
    with pytest.raises(CorruptImageError, match=r"ends early or is corrupt \(.+\)") as caught:
        decode(data[: len(data) // 2], **LIMITS)
    assert caught.value.reason == "truncated"


def test_a_jpeg_that_lacks_its_last_bytes_is_truncated() -> None:
    assert reason(encoded(noise(), "JPEG")[:-40]) == "truncated"


def test_a_wrong_checksum_is_truncated() -> None:
    data = bytearray(encoded(noise(), "PNG"))
    data[data.index(b"IDAT") + 10] ^= 255
    assert reason(bytes(data)) == "truncated"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's words on corrupt metadata
def test_corruption_of_any_kind_ends_in_one_kind_of_error() -> None:
    rng = np.random.default_rng(0)
    whole = [encoded(noise(), format) for format in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")]
    whole.append(encoded(noise(), "TIFF", compression="tiff_lzw", exif=with_orientation(6)))
    refused = 0
    for data in (bytearray(whole[turn % len(whole)]) for turn in range(800)):
        for place in rng.integers(0, min(len(data), 120), size=3):
            data[place] = rng.integers(256)
        try:
            decode(bytes(data), **LIMITS)
        except CorruptImageError:
            refused += 1
    assert 200 < refused < 800


def test_a_small_image_is_refused_by_its_shorter_side() -> None:
    data = encoded(noise(40, 9), "PNG")
    assert decoded(data).size == (40, 9)
    with pytest.raises(CorruptImageError, match="40 x 9 pixels; the shorter side needs 10") as caught:
        decode(data, min_side_px=10, max_pixels=1000)
    assert caught.value.reason == "too_small"


def test_a_large_image_is_refused_by_its_pixels() -> None:
    data = encoded(noise(40, 25), "PNG")
    assert decode(data, min_side_px=1, max_pixels=1000).image.size == (40, 25)
    with pytest.raises(CorruptImageError, match="40 x 25 pixels; at most 999 are allowed") as caught:
        decode(data, min_side_px=1, max_pixels=999)
    assert caught.value.reason == "too_large"


def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded() -> None:
    bomb = png(50_000, 50_000, bytes(1000))
    assert len(bomb) < 200
    tracemalloc.start()
    try:
        assert reason(bomb, max_pixels=100_000_000) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_png_made_by_hand_is_read() -> None:
    """The bomb above is refused for its size and not for being badly made."""
    assert decoded(png(10, 10, bytes([0, *[255, 0, 0] * 10]) * 10)).getpixel((9, 9)) == (255, 0, 0)


def test_equal_pixels_have_equal_ids_whatever_the_file() -> None:
    files = [encoded(noise(), "PNG"), encoded(noise(), "WEBP", lossless=True), encoded(noise(), "BMP")]
    files.append(encoded(noise().rotate(180), "PNG", exif=with_orientation(3)))
    assert {pixel_id(decoded(data)) for data in files} == {pixel_id(noise())}


def test_one_differing_value_or_another_shape_makes_another_id() -> None:
    touched = noise()
    r, g, b = touched.getpixel((5, 5))  # type: ignore[misc]
    touched.putpixel((5, 5), (r, g, b ^ 1))
    flat = [Image.new("RGB", size) for size in ((6, 4), (4, 6), (24, 1), (12, 2))]
    assert len({pixel_id(image) for image in (noise(), touched, noise(seed=1), *flat)}) == 7


def test_an_id_is_32_hex_digits() -> None:
    assert len(bytes.fromhex(pixel_id(noise()))) == 16


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_upright_jpeg_of_plain_colors_is_plain(mode: str) -> None:
    assert is_plain_jpeg(encoded(shapes(40, 30).convert(mode), "JPEG"))


def test_what_is_turned_or_of_other_colors_or_no_jpeg_is_not_plain() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    image = shapes(40, 30)
    others = [encoded(image, "JPEG", exif=turned), encoded(image.convert("CMYK"), "JPEG"), encoded(image, "PNG")]
    assert [is_plain_jpeg(data) for data in (*others, b"", b"\xff\xd8\xff")] == [False] * 5


@pytest.mark.parametrize(("stated", "found"), [(1, 1), (6, 6), (8, 8), (0, 1), (9, 1)])
def test_an_orientation_that_is_none_is_upright(stated: int, found: int) -> None:
    assert jpeg_orientation(encoded(noise(), "JPEG", exif=with_orientation(stated))) == found


def test_only_a_jpeg_of_plain_colors_has_an_orientation_to_turn_it_by() -> None:
    others = [
        encoded(noise().convert("CMYK"), "JPEG"),
        encoded(noise(), "PNG", exif=with_orientation(6)),
        b"",
        b"\xff\xd8",
    ]
    assert [jpeg_orientation(data) for data in others] == [None] * 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_the_upright_size_is_that_of_the_decoded_image(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(), format, exif=exif)
    assert upright_size(data) == decoded(data).size


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_has_no_size(data: bytes) -> None:
    assert upright_size(data) is None
