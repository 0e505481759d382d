"""Scaling without torch against torch itself."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tandem.images.scaling import fastest_scale, scale_by_numpy, scale_by_torch
from tandem.types import Interpolation

BOTH: tuple[Interpolation, ...] = get_args(Interpolation)
SIDES = st.integers(1, 400)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_same(image: np.ndarray, height: int, width: int, interpolation: Interpolation) -> None:
    expected = scale_by_torch(image.copy(), height, width, interpolation)
    assert np.array_equal(scale_by_numpy(image, height, width, interpolation), expected)


@given(SIDES, SIDES, st.integers(1, 300), st.integers(1, 300), st.sampled_from(BOTH), st.integers(0, 2**16))
@example(260, 347, 260, 260, "bicubic", 0)  # one axis alone
@example(1, 1, 300, 300, "bicubic", 0)
@example(400, 400, 1, 1, "bicubic", 0)
def test_both_give_the_same_bytes_for_any_size(
    height: int, width: int, to_height: int, to_width: int, interpolation: Interpolation, seed: int
) -> None:
    assert_same(noise(height, width, seed), to_height, to_width, interpolation)


@pytest.mark.parametrize("interpolation", BOTH)
@pytest.mark.parametrize("size", [(3000, 4000), (4000, 17), (1, 1), (224, 224), (2, 5000)])
def test_large_thin_and_tiny_images_too(size: tuple[int, int], interpolation: Interpolation) -> None:
    for image in (noise(*size), np.full((*size, 3), 255, np.uint8), np.zeros((*size, 3), np.uint8)):
        assert_same(image, 224, 224, interpolation)


@pytest.mark.parametrize("interpolation", BOTH)
@pytest.mark.parametrize("side", [37, 96, 224, 288, 640])
def test_where_black_meets_white_both_clip_alike(side: int, interpolation: Interpolation) -> None:
    board = np.kron(np.indices((12, 12)).sum(axis=0) % 2, np.ones((17, 17), np.int64))  # sums lie outside of 0 ... 255
    image = np.repeat(255 * board[..., None], 3, axis=2).astype(np.uint8)
    assert_same(image, side, side, interpolation)
    found = scale_by_numpy(image, side, side, interpolation)
    assert found.min() == 0
    assert found.max() == 255


@given(SIDES, SIDES, st.integers(1, 300), st.sampled_from(BOTH), st.integers(0, 255))
def test_an_image_of_one_color_keeps_it(
    height: int, width: int, side: int, interpolation: Interpolation, level: int
) -> None:
    found = scale_by_numpy(np.full((height, width, 3), level, np.uint8), side, side, interpolation)
    assert (found == level).all()


@pytest.mark.parametrize(
    ("interpolation", "of_pillow"),
    [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)],
)
@pytest.mark.parametrize("size", [(480, 640), (260, 347), (90, 60), (1200, 224)])
def test_it_is_the_filter_that_pillow_has_by_that_name(
    size: tuple[int, int], interpolation: Interpolation, of_pillow: Image.Resampling
) -> None:
    image = noise(*size)
    expected = np.asarray(Image.fromarray(image).resize((224, 224), of_pillow)).astype(int)
    assert np.abs(scale_by_numpy(image, 224, 224, interpolation) - expected).max() <= 1


@pytest.mark.parametrize("interpolation", BOTH)
def test_a_view_into_a_larger_image_is_scaled_like_a_copy(interpolation: Interpolation) -> None:
    assert_same(noise(300, 400)[31:250, 40:333], 96, 96, interpolation)


def test_where_torch_is_installed_it_scales() -> None:
    assert fastest_scale() is scale_by_torch  # where it is not: tests/project/test_dockerfile.py
