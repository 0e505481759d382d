"""What is written; that it gives what was scored is tested in project/test_export.py."""

import numpy as np
import pytest

from tandem.inference.export import write_model
from tandem.inference.exported import load_exported
from toy_model import colors_model


@pytest.mark.parametrize("num_images", [1, 2, 7])
def test_any_number_of_images_has_probs(exported, num_images):
    pixels = np.zeros((2 * num_images, 16, 16, 3), np.uint8)
    pixels[..., 1] = 255
    probs = load_exported(exported).probs(pixels)
    np.testing.assert_allclose(probs, [[1 / (2 + np.e**8), np.e**8 / (2 + np.e**8), 1 / (2 + np.e**8)]] * num_images)


def test_the_same_model_gives_the_same_bytes_twice(exported, card, tmp_path):
    digest = write_model(colors_model(num_views=2), card, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()
    assert len(digest) == 64
