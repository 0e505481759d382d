"""Explanations as images: the image, and beside it the image under its map."""

import numpy as np

from tandem.inference.explanation.drawing import draw_explanation

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_the_image_is_drawn_beside_its_map_which_is_bright_where_it_counts():
    explanation = np.full((16, 16), -0.1, dtype=np.float32)
    explanation[:4, 8:] = 2
    drawn = np.asarray(draw_explanation(PIXELS, explanation).convert("L"), dtype=float)
    assert drawn.shape == (224, 448)
    beside = drawn[:, 224:]
    assert beside[:40, 126:].mean() > beside[112:].mean() + 40


def test_an_image_of_which_no_part_counts_is_drawn_without_light():
    drawn = draw_explanation(PIXELS, np.full((16, 16), -1, dtype=np.float32))
    assert np.asarray(drawn)[:, 224:].mean() < 70
