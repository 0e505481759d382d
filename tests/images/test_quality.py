"""Measures of quality, held against known images and Pillow's own."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import uniform_filter1d

from tandem.images.quality import measure_quality


def noise(width: int = 256, height: int = 256) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8))


def blocks() -> Image.Image:
    return noise(16, 16).resize((256, 256), Image.Resampling.NEAREST)


@pytest.mark.parametrize(("value", "brightness"), [(0, 0.0), (51, 0.2), (255, 1.0)])
@pytest.mark.parametrize("size", [(1, 1), (900, 40)])
def test_one_color_has_its_brightness_and_nothing_else(value: int, brightness: float, size: tuple[int, int]) -> None:
    assert measure_quality(Image.new("RGB", size, (value,) * 3)) == (1.0, brightness, 0.0)


def test_half_black_half_white_is_a_bit() -> None:
    image = Image.new("L", (256, 256))
    image.paste(255, (0, 0, 256, 128))
    assert measure_quality(image)[1:] == (0.5, 1.0)


def test_entropy_is_pillows() -> None:
    assert measure_quality(noise()).entropy == round(noise().entropy(), 3)


def test_the_more_an_image_is_blurred_the_higher_its_blur() -> None:
    blurs = [measure_quality(blocks().filter(ImageFilter.GaussianBlur(radius))).blur for radius in (0, 1, 2, 4, 8)]
    assert blurs == sorted(set(blurs))
    assert blurs[0] == 0.111  # an edge is left by a ninth
    assert blurs[-1] > 0.7


def test_blur_along_one_axis_counts() -> None:
    """As a moving camera blurs."""
    smeared = uniform_filter1d(np.asarray(blocks()), 25, axis=0)
    both = [measure_quality(Image.fromarray(each)).blur for each in (smeared, smeared.T)]
    assert both[0] == both[1] > 0.6


def test_blur_is_what_a_filter_written_out_gives() -> None:
    gray = np.asarray(noise().filter(ImageFilter.GaussianBlur(1)), np.float64)

    def along(rows: np.ndarray) -> float:
        sharp, blurred = (np.abs(np.diff(each)) for each in (rows, uniform_filter1d(rows, 9)))
        inside = slice(4, -4)  # where the filter lies wholly in the image
        lost = np.maximum(sharp - blurred, 0)[:, inside].sum()
        return float(1 - lost / sharp[:, inside].sum())

    expected = max(along(gray), along(gray.T))
    assert measure_quality(Image.fromarray(gray.astype(np.uint8))).blur == pytest.approx(expected, abs=0.001)


def test_contrast_and_brightness_change_no_blur() -> None:
    faint = noise().point(lambda value: value // 4 + 100)
    assert measure_quality(faint).blur == pytest.approx(measure_quality(noise()).blur, abs=0.01)


def test_a_small_image_that_is_enlarged_is_blurred() -> None:
    assert measure_quality(noise(32, 32)).blur > 0.5


def test_colors_are_as_bright_as_they_look() -> None:
    blue, green = (measure_quality(Image.new("RGB", (9, 9), color)).brightness for color in ("blue", "lime"))
    assert (blue, green) == (0.114, 0.588)
