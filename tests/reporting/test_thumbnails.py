import base64
import io

import pytest
from PIL import Image

from planted_images import png
from tandem.errors import DamagedFileError
from tandem.reporting.page.thumbnails import HEIGHT_PX, Gallery, thumbnail_of
from tandem.tables.stored import PackedImage


def packed(folder, data):
    path = folder / "images-00000.tar"
    path.write_bytes(b"before" + data)
    return {"a": PackedImage(path, 6, len(data))}


def decoded(thumbnail):
    head, _, data = thumbnail.uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_thumbnail_is_the_image_scaled_down(tmp_path):
    image = Image.new("RGB", (900, 600), "red")
    thumbnail = Gallery(packed(tmp_path, png(image))).thumbnail("a", alt="a <car>")
    assert (thumbnail.width, thumbnail.height, thumbnail.alt) == (216, HEIGHT_PX, "a <car>")
    shown = decoded(thumbnail)
    assert shown.size == (216, HEIGHT_PX)
    red, green, blue = shown.convert("RGB").getpixel((100, 70))
    assert red > 240
    assert max(green, blue) < 16


def test_a_small_image_is_not_enlarged_and_a_long_one_stays_within_bounds():
    assert thumbnail_of(Image.new("RGB", (40, 30)), alt="")[1:3] == (40, 30)
    assert thumbnail_of(Image.new("RGB", (3000, 100)), alt="")[1:3] == (320, 11)
    assert thumbnail_of(Image.new("RGB", (5000, 1)), alt="")[1:3] == (320, 1)


def test_the_same_pixels_give_the_same_bytes():
    assert thumbnail_of(Image.new("RGB", (60, 60), "teal"), alt="") == thumbnail_of(
        Image.new("RGB", (60, 60), "teal"), alt=""
    )


def test_an_image_that_is_gone_or_damaged_is_named(tmp_path):
    images = packed(tmp_path, b"no image")
    with pytest.raises(DamagedFileError, match=r"images-00000\.tar cannot be read at byte 6"):
        Gallery(images).thumbnail("a", alt="")
    images["a"].path.unlink()
    with pytest.raises(DamagedFileError, match=r"images-00000\.tar is missing"):
        Gallery(images).thumbnail("a", alt="")
