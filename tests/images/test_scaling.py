"""Scaling without torch against torch itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.images.scaling import fastest_scale, scale_by_numpy, scale_by_torch

SIDES = st.integers(1, 400)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDES, SIDES, st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**16))
def test_both_give_the_same_bytes_for_any_size(
    height: int, width: int, to_height: int, to_width: int, seed: int
) -> None:
    image = noise(height, width, seed)
    assert np.array_equal(scale_by_numpy(image, to_height, to_width), scale_by_torch(image, to_height, to_width))


@pytest.mark.parametrize("size", [(3000, 4000), (4000, 17), (1, 1), (224, 224), (2, 5000)])
def test_large_thin_and_tiny_images_too(size: tuple[int, int]) -> None:
    for image in (noise(*size), np.full((*size, 3), 255, np.uint8), np.zeros((*size, 3), np.uint8)):
        assert np.array_equal(scale_by_numpy(image, 224, 224), scale_by_torch(image, 224, 224))


def test_a_view_into_a_larger_image_is_scaled_like_a_copy() -> None:
    image = noise(300, 400)
    crop = image[31:250, 40:333]
    assert np.array_equal(scale_by_numpy(crop, 96, 96), scale_by_torch(crop.copy(), 96, 96))


def test_where_torch_is_installed_it_scales() -> None:
    assert fastest_scale() is scale_by_torch  # where it is not: tests/project/test_dockerfile.py
