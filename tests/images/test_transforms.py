"""The one transform against those of Pillow and torchvision."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional
from torchvision import transforms

from tandem.errors import CorruptImageError
from tandem.images.decode import Resize, decode
from tandem.images.encoding import encode_images
from tandem.images.transforms import decode_pixels, load_transformed, resize_image
from tandem.types import Interpolation

FILTERS: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
SIZES = [(400, 20), (20, 400), (256, 256), (300, 200), (641, 427), (33, 1999), (259, 256), (1, 1)]


def shapes(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "khaki")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width // 8, height // 5, width // 2, height // 2), "navy")
    draw.line((0, height, width, 0), "crimson", 5)
    return image


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


IMAGE = shapes(123, 77)
KINDS = {
    "4:4:4": encoded(IMAGE, subsampling=0),
    "4:2:2": encoded(IMAGE, subsampling=1),
    "4:2:0": encoded(IMAGE, subsampling=2),
    "progressive": encoded(IMAGE, progressive=True),
    "stored as RGB": encoded(IMAGE, keep_rgb=True),
    "gray": encoded(IMAGE.convert("L")),
    "CMYK": encoded(IMAGE.convert("CMYK")),
    "turned": encoded(IMAGE, exif=turned(6)),
    "mirrored": encoded(IMAGE, exif=turned(2)),
    "turned by XMP": encoded(IMAGE, xmp=b'<rdf:Description tiff:Orientation="6"/>'),
    "two images": encoded(IMAGE, "MPO", save_all=True, append_images=[shapes(50, 60)]),
    "transparent PNG": encoded(IMAGE.convert("LA"), "PNG"),
    "WebP": encoded(IMAGE, "WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_that_the_merge_saw(kind: str) -> None:
    expected = np.asarray(decode(KINDS[kind], min_side_px=1, max_pixels=10_000).image)
    assert np.array_equal(decode_pixels(KINDS[kind]), expected)


@pytest.mark.parametrize("num_bytes", [0, 200, 1000])
def test_an_image_that_ends_early_is_corrupt(num_bytes: int) -> None:
    assert len(KINDS["4:4:4"]) > 1500
    with pytest.raises(CorruptImageError):
        load_transformed(KINDS["4:4:4"][:num_bytes], size_px=32, resize="squash", interpolation="bilinear")


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("size_px", [32, 96, 224])
def test_an_input_is_square_whatever_the_image(resize: Resize, size: tuple[int, int], size_px: int) -> None:
    found = resize_image(np.array(shapes(*size)), size_px=size_px, resize=resize, interpolation="bilinear")
    assert found.shape == (size_px, size_px, 3)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
def test_the_crop_is_that_of_torchvisions_evaluation_but_for_rounding(size: tuple[int, int]) -> None:
    evaluation = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    expected = np.asarray(evaluation(shapes(*size))).astype(int)
    found = resize_image(np.array(shapes(*size)), size_px=224, resize="crop", interpolation="bilinear")
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - expected).mean() < 0.05


@pytest.mark.parametrize("size", SIZES)
def test_the_squash_is_that_of_pillow_but_for_rounding(size: tuple[int, int]) -> None:
    for interpolation, of_pillow in FILTERS.items():
        # across first, as torch: Pillow takes the cheaper order, and bicubic's overshoot is cut off in between
        across = shapes(*size).resize((96, size[1]), of_pillow)
        expected = np.asarray(across.resize((96, 96), of_pillow)).astype(int)
        found = resize_image(np.array(shapes(*size)), size_px=96, resize="squash", interpolation=interpolation)
        assert np.abs(found - expected).max() <= 2


def test_a_crop_adds_no_border() -> None:
    red = np.array(Image.new("RGB", (400, 20), "red"))
    assert (resize_image(red, size_px=64, resize="crop", interpolation="bilinear") == (255, 0, 0)).all()


def test_a_squash_keeps_both_ends_of_a_long_image() -> None:
    image = Image.new("RGB", (400, 20), "white")
    image.paste("red", (0, 0, 100, 20))
    image.paste("blue", (300, 0, 400, 20))
    found = resize_image(np.array(image), size_px=32, resize="squash", interpolation="bilinear")
    assert found[16, 2].tolist() == [255, 0, 0]
    assert found[16, -3].tolist() == [0, 0, 255]


def test_the_first_view_is_the_image_the_second_its_mirror_image_and_others_are_parts_of_it() -> None:
    image = np.asarray(Image.open(io.BytesIO(KINDS["4:4:4"])))
    views = load_transformed(KINDS["4:4:4"], size_px=64, resize="squash", interpolation="bilinear", tta_views=10)
    assert views.shape == (10, 64, 64, 3)
    alone = load_transformed(KINDS["4:4:4"], size_px=64, resize="squash", interpolation="bilinear")
    assert np.array_equal(views[:1], alone)
    assert np.array_equal(views[1], views[0][:, ::-1])
    height, width = image.shape[:2]
    corner = Image.fromarray(image[: round(0.8 * height), : round(0.8 * width)])
    expected = np.asarray(corner.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(views[4] - expected).max() <= 1  # Pillow rounds in between
    assert np.array_equal(views[8], np.round(views[0] * 0.75))
    assert len({each.tobytes() for each in views}) == 10


@pytest.mark.parametrize(
    ("value", "darker", "brighter"), [(250, 188, 255), (204, 153, 255), (203, 152, 254), (2, 2, 2)]
)
def test_a_brighter_view_ends_at_white_and_every_view_is_rounded(value: int, darker: int, brighter: int) -> None:
    flat = encoded(Image.new("RGB", (40, 40), (value, value, value)), "PNG")
    views = load_transformed(flat, size_px=32, resize="squash", interpolation="bilinear", tta_views=10)
    assert [set(view.ravel().tolist()) for view in views] == [{value}] * 8 + [{darker}, {brighter}]


def test_an_image_of_one_pixel_has_all_views() -> None:
    one = encoded(Image.new("RGB", (1, 1), "navy"), "PNG")
    views = load_transformed(one, size_px=32, resize="squash", interpolation="bilinear", tta_views=10)
    assert views.shape == (10, 32, 32, 3)


@pytest.mark.parametrize("side", [32, 77, 224])
def test_the_layout_in_which_torch_resizes_changes_no_pixel(side: int) -> None:
    image = decode_pixels(KINDS["4:4:4"])
    planes = torch.from_numpy(image).permute(2, 0, 1).contiguous()[None]
    expected = functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    found = resize_image(image, size_px=side, resize="squash", interpolation="bilinear")
    assert np.array_equal(found, expected.numpy())
    assert found.flags.c_contiguous


LARGE = {
    "jpeg of twice the size": encoded(shapes(400, 300), quality=90),
    "jpeg a little larger": encoded(shapes(130, 90), quality=90),
    "turned jpeg": encoded(shapes(400, 300), exif=turned(6)),
    "gray jpeg": encoded(shapes(400, 300).convert("L")),
    "cmyk jpeg": encoded(shapes(400, 300).convert("CMYK")),
    "png": encoded(shapes(400, 300), "PNG"),
    "small jpeg": encoded(shapes(90, 50)),
    "small turned jpeg": encoded(shapes(90, 50), exif=turned(6)),
    "small png": encoded(shapes(90, 50), "PNG"),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_predicted_of_a_file_is_what_was_stored_of_it_to_be_scored(name: str) -> None:
    data = LARGE[name]
    [stored] = encode_images(data, [None], min_side_px=1, max_pixels=10**6, max_side_px=100).values()
    expected = load_transformed(stored.data, size_px=32, resize="squash", interpolation="bilinear", tta_views=3)
    of_original = load_transformed(
        data, size_px=32, resize="squash", interpolation="bilinear", tta_views=3, max_side_px=100
    )
    assert np.array_equal(of_original, expected)
    assert max(decode_pixels(data, max_side_px=100).shape) <= 100
    without = load_transformed(data, size_px=32, resize="squash", interpolation="bilinear", tta_views=3)
    assert np.array_equal(without, expected) == name.startswith("small")


def test_a_larger_image_than_is_allowed_is_refused_before_it_is_scaled() -> None:
    with pytest.raises(CorruptImageError, match="400 x 300 pixels; at most 1000 are allowed"):
        decode_pixels(LARGE["jpeg of twice the size"], max_pixels=1000, max_side_px=100)
