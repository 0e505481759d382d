"""What is stored of an image file, held against a full decode and Pillow's own scaling."""

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from tandem.errors import CorruptImageError
from tandem.images.damage import image_damage
from tandem.images.decode import decode, pixel_id
from tandem.images.encoding import EncodedImage, encode_images
from tandem.images.hashing import dihedral_phashes
from tandem.images.quality import measure_quality

LIMITS = {"min_side_px": 8, "max_pixels": 1_000_000}
END = b"\xff\xd9"
JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 4},
    "colors not halved": {"subsampling": 0},
}


def photo(width: int = 320, height: int = 200, *, detail: int = 1) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 255, (5 * detail, 8 * detail, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def whole(data: bytes, max_side_px: int | None) -> EncodedImage:
    return encode_images(data, [None], max_side_px=max_side_px, **LIMITS)[None]


def opened(image: EncodedImage) -> Image.Image:
    return Image.open(io.BytesIO(image.data))


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one.convert("RGB"), int) - np.asarray(other.convert("RGB"), int)).mean())


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def reason(data: bytes, **options: Any) -> str:
    try:
        encode_images(data, [None], **{**LIMITS, "max_side_px": 40, **options})
    except CorruptImageError as error:
        return error.reason
    return ""


# --- what is small enough


@pytest.mark.parametrize("max_side_px", [None, 320, 640])
@pytest.mark.parametrize(
    ("format", "options", "extension"),
    [("JPEG", {}, "jpg"), ("PNG", {}, "png"), ("WEBP", {"lossless": True}, "webp"), ("BMP", {}, "png")],
)
def test_a_small_file_keeps_its_bytes_or_its_pixels(
    max_side_px: int | None, format: str, options: dict[str, Any], extension: str
) -> None:
    data = encoded(photo(), format, **options)
    image, found = decode(data, **LIMITS).image, whole(data, max_side_px)
    assert found.extension == extension
    assert (found.data == data) == (format != "BMP")
    assert opened(found).convert("RGB").tobytes() == image.tobytes()
    assert (found.id, found.width, found.height) == (pixel_id(image), 320, 200)
    assert np.array_equal(found.hashes, dihedral_phashes(image))
    assert found.quality == measure_quality(image)


def test_a_small_turned_file_is_a_png_of_what_is_seen() -> None:
    data = encoded(photo(), "JPEG", exif=with_orientation(6))
    found = whole(data, 320)
    assert (found.extension, found.width, found.height) == ("png", 200, 320)
    assert opened(found).tobytes() == Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_270).tobytes()


# --- what is scaled


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_side_px", [40, 100, 160, 300])  # of 320: by libjpeg to 1/8, 3/8 and 1/2, and not by it
def test_a_larger_jpeg_is_stored_upright_at_exactly_that_size(orientation: int, max_side_px: int) -> None:
    data = encoded(photo(), "JPEG", quality=95, exif=with_orientation(orientation))
    upright, found = decode(data, **LIMITS).image, whole(data, max_side_px)
    assert (found.extension, found.width, found.height) == ("jpg", *upright.size)
    assert max(opened(found).size) == max_side_px
    assert difference(opened(found), upright.resize(opened(found).size, Image.Resampling.BICUBIC)) < 2.5
    assert "exif" not in opened(found).info, "it must not be turned once more"


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_of_any_kind_is_scaled(options: dict[str, Any], mode: str) -> None:
    data = encoded(photo().convert(mode), "JPEG", quality=95, **options)
    expected = decode(data, **LIMITS).image.resize((80, 50), Image.Resampling.BICUBIC)
    assert difference(opened(whole(data, 80)), expected) < 2


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP"])
def test_any_other_larger_file_is_scaled_from_all_of_its_pixels(format: str) -> None:
    data = encoded(photo(), format)
    image, found = decode(data, **LIMITS).image, whole(data, 160)
    scaled = image.resize((160, 100), Image.Resampling.BICUBIC)
    assert (found.id, found.extension, found.width, found.height) == (pixel_id(image), "jpg", 320, 200)
    assert difference(opened(found), scaled) < 2
    assert np.array_equal(found.hashes, dihedral_phashes(scaled))
    assert found.quality == measure_quality(scaled)


def test_hashes_of_what_is_scaled_while_decoding_are_near_those_of_all_pixels() -> None:
    data = encoded(photo(640, 400, detail=6), "JPEG")
    bits = np.unpackbits(whole(data, 160).hashes ^ dihedral_phashes(decode(data, **LIMITS).image), axis=1)
    assert bits.sum(axis=1).max() <= 8


def test_an_image_of_a_line_keeps_a_pixel() -> None:
    assert opened(
        encode_images(encoded(photo(400, 1), "PNG"), [None], min_side_px=1, max_pixels=999, max_side_px=40)[None]
    ).size == (40, 1)


def test_a_sound_jpeg_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, decode_jpeg = [], simplejpeg.decode_jpeg

    def counted(*arguments: Any, **options: Any) -> np.ndarray:
        pixels = decode_jpeg(*arguments, **options)
        sizes.append(pixels.shape[:2])
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", counted)
    data = encoded(photo(), "JPEG", exif=with_orientation(8))
    for max_side_px in (640, 300, 160):
        whole(data, max_side_px)
    assert sizes == [(200, 320), (200, 320), (100, 160)]


# --- which images are the same


@pytest.mark.parametrize("max_side_px", [40, 160])
def test_a_jpeg_without_its_metadata_is_the_same_image(max_side_px: int) -> None:
    bare = whole(encoded(photo(), "JPEG"), max_side_px)
    other = whole(encoded(photo(), "JPEG", exif=with_orientation(1), comment=b"on the beach"), max_side_px)
    assert (bare.id, bare.data) == (other.id, other.data)


def test_a_second_image_in_a_phones_file_makes_no_other_image() -> None:
    files = [encoded(photo(), "MPO", save_all=True, append_images=[photo(detail=extra)]) for extra in (2, 3)]
    found = [whole(data, 160) for data in (encoded(photo(), "JPEG"), *files)]
    assert len({image.id for image in found}) == len({image.data for image in found}) == 1


def test_two_photos_that_look_the_same_once_scaled_are_two_images() -> None:
    gray = np.full((64, 64), 120, np.uint8)
    fine = gray + 9 * (np.indices(gray.shape).sum(axis=0) % 2).astype(np.uint8) - 4
    one, other = (whole(encoded(Image.fromarray(each), "JPEG"), 16) for each in (gray, fine))
    assert one.data == other.data
    assert one.id != other.id
    coarse = [whole(encoded(Image.fromarray(each), "JPEG"), None) for each in (gray, fine)]
    assert len({image.id for image in (one, other, *coarse)}) == 4


@pytest.mark.parametrize("touched", [0, 1])
def test_one_pixel_makes_another_image_at_any_limit(touched: int) -> None:
    changed = photo()
    changed.putpixel((9, 9), tuple(value ^ touched for value in photo().getpixel((9, 9))))  # type: ignore[union-attr]
    for format, options in (("PNG", {}), ("JPEG", {"quality": 100, "subsampling": 0})):
        for max_side_px in (40, 300, None):
            ids = {whole(encoded(image, format, **options), max_side_px).id for image in (photo(), changed)}
            assert len(ids) == 1 + touched


def test_the_limit_decides_only_whether_a_jpeg_and_another_format_are_the_same_image() -> None:
    jpeg = encoded(photo(), "JPEG")
    png = encoded(Image.open(io.BytesIO(jpeg)), "PNG")
    assert [whole(jpeg, side).id == whole(png, side).id for side in (None, 320, 161, 160, 40)] == [True] * 3 + [
        False
    ] * 2
    assert len({whole(png, side).id for side in (None, 320, 160, 40)}) == 1
    assert len({whole(jpeg, side).id for side in (160, 40)}) == 1


# --- crops


def test_crops_are_cut_from_all_pixels_and_scaled_then() -> None:
    data = encoded(photo(), "JPEG", exif=with_orientation(6))
    upright = decode(data, **LIMITS).image
    boxes = [(0.1, 0.2, 0.5, 0.25), (0.0, 0.0, 1.0, 1.0), (0.999, 0.999, 0.001, 0.001)]
    found = encode_images(data, boxes, max_side_px=120, **LIMITS)
    expected = [upright.crop((20, 64, 120, 144)), upright, upright.crop((199, 319, 200, 320))]
    assert list(found) == boxes
    assert [image.id for image in found.values()] == [pixel_id(image) for image in expected]
    assert [(image.width, image.height) for image in found.values()] == [(100, 80), (200, 320), (1, 1)]
    assert [image.extension for image in found.values()] == ["png", "jpg", "png"]
    assert opened(found[boxes[0]]).tobytes() == expected[0].tobytes()
    assert difference(opened(found[boxes[1]]), upright.resize((75, 120), Image.Resampling.BICUBIC)) < 2


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_an_image_does_not_depend_on_what_else_is_cut_from_its_file(format: str) -> None:
    data, box = encoded(photo(), format), (0.25, 0.25, 0.5, 0.5)
    found = encode_images(data, [box, None, box], max_side_px=80, **LIMITS)
    assert list(found) == [box, None]
    alone = encode_images(data, [box], max_side_px=80, **LIMITS)[box]
    for one, other in ((found[None], whole(data, 80)), (found[box], alone)):
        assert one[:5] == other[:5]
        assert one.quality == other.quality


# --- what is refused


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_damaged_jpeg_is_judged_as_by_a_full_decode(options: dict[str, Any]) -> None:
    """By Pillow's errors and image_damage, whatever the size that it is decoded to."""
    sound = encoded(photo(), "JPEG", quality=90, **options)
    half, outcomes = len(sound) // 2, set()
    for data in (
        *(sound[:cut] for cut in (half, len(sound) - 40, len(sound) - 2)),
        *(sound[:cut] + END for cut in (half, len(sound) - 60)),
        sound[:half] + bytes(len(sound) - half),
        sound[:half] + bytes(300) + sound[half + 300 :],
        *(sound[:-2] + filler + END for filler in (bytes(37), b"\xff" * 40, b"\x12\x34")),
        *(sound + rest for rest in (bytes(500), sound, b"words")),
    ):  # fmt: skip
        try:
            Image.open(io.BytesIO(data)).load()
            expected = "truncated" if image_damage(data, "JPEG") else ""
        except OSError:
            expected = "truncated"
        assert [reason(data, max_side_px=side) for side in (40, 160, 300, None)] == [expected] * 4
        outcomes.add(expected)
    assert outcomes == {"", "truncated"}


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_limits_are_for_the_size_before_scaling(format: str) -> None:
    data = encoded(photo(), format)
    assert reason(data, max_pixels=320 * 200, min_side_px=200) == ""
    assert reason(data, max_pixels=320 * 200 - 1) == "too_large"
    assert reason(data, min_side_px=201) == "too_small"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"<html></html>", "not_an_image"),
        (b"\xff\xd8\xff", "not_an_image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "lfs_pointer"),
    ],
)
def test_what_is_no_image_is_refused_as_by_decode(data: bytes, expected: str) -> None:
    assert reason(data) == expected
