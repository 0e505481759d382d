"""The transformations do what their names say."""

import random

import numpy as np
import pytest
from PIL import Image

from duplicates import transformations
from planted_duplicates import generated


def gray(image):
    return np.asarray(image.convert("L"), dtype=float)


@pytest.fixture
def image():
    return generated(0)


@pytest.fixture
def rng():
    return random.Random(0)


def test_the_transformations_that_keep_the_size_change_the_pixels(image, rng):
    for name in ("re-encoded, quality 30", "rotated 5-15 degrees", "grayed", "brightness 0.6/1.4", "blurred"):
        changed = transformations.TRANSFORMATIONS[name](image, rng)
        assert changed.size == image.size, name
        assert changed.tobytes() != image.tobytes(), name


def test_sizes_are_halved_and_stretched(image, rng):
    assert transformations.halved(image, rng).size == (100, 75)
    assert {transformations.stretched(image, rng).size for _ in range(20)} == {(260, 150), (200, 195)}


def test_a_crop_keeps_three_quarters_and_is_a_part(image, rng):
    pixels = np.asarray(image)
    for _ in range(50):
        part = transformations.cropped(image, rng)
        assert 0.75 * 200 * 150 <= part.width * part.height < 200 * 150
        windows = [
            pixels[top : top + part.height, left : left + part.width]
            for top in range(150 - part.height + 1)
            for left in range(200 - part.width + 1)
        ]
        assert any(np.array_equal(window, np.asarray(part)) for window in windows)


def test_mirror_image_and_turns_are_exact(image, rng):
    assert np.array_equal(np.asarray(transformations.flipped(image, rng)), np.asarray(image)[:, ::-1])
    turns = {transformations.turned(image, rng).tobytes() for _ in range(40)}
    assert turns == {np.rot90(np.asarray(image), k).tobytes() for k in (1, 2, 3)}


def test_a_rotation_is_by_5_to_15_degrees_either_way(rng):
    bar = Image.new("RGB", (201, 201), "black")
    bar.paste("white", (95, 0, 106, 201))
    angles = []
    for _ in range(30):
        y, x = np.nonzero(gray(transformations.rotated(bar, rng))[40:161] > 128)
        angles.append(np.degrees(np.arctan(np.polyfit(y, x, 1)[0])))
    assert all(4 <= abs(angle) <= 16 for angle in angles)
    assert min(angles) < 0 < max(angles)


def test_gray_brightness_blur_and_quality_do_what_they_say(image, rng):
    pixels = np.asarray(transformations.grayed(image, rng))
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    flat = Image.new("RGB", (8, 8), (100, 100, 100))
    assert {transformations.brightened(flat, rng).getpixel((0, 0))[0] for _ in range(20)} == {60, 140}
    assert np.abs(np.diff(gray(transformations.blurred(image, rng)))).mean() < np.abs(np.diff(gray(image))).mean()
    assert 0 < np.abs(gray(transformations.reencoded(image, rng)) - gray(image)).mean() < 15


def test_frame_and_caption_leave_the_image_whole(image, rng):
    framed = transformations.letterboxed(image, rng)
    assert framed.size == (200, 200)
    assert framed.crop((0, 25, 200, 175)).tobytes() == image.tobytes()
    assert transformations.letterboxed(generated(0, width=100, height=100), rng).size == (130, 130)
    captioned = transformations.captioned(image, rng)
    assert captioned.size == (200, 150 + 22)
    assert captioned.crop((0, 0, 200, 150)).tobytes() == image.tobytes()
    assert gray(captioned)[150:].min() < 128 < gray(captioned)[150:].mean()


def test_the_harder_ones_keep_the_size_but_for_a_crop_to_six_tenths(image, rng):
    pixels = np.asarray(image)
    assert np.array_equal(np.asarray(transformations.upended(image, rng)), pixels[::-1])
    part = transformations.cut(image, rng)
    assert 0.6 <= part.width * part.height / (200 * 150) < 0.62
    tilted = {transformations.tilted(image, rng).tobytes() for _ in range(20)}
    assert tilted == {image.rotate(degrees, Image.Resampling.BICUBIC).tobytes() for degrees in (-25, 25)}
    for _ in range(20):
        changed = (np.asarray(transformations.watermarked(image, rng)) != pixels).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert 0.5 < (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / (66 * 18) <= 1
