"""Planted images that tests of the near-duplicate benchmark share."""

import numpy as np
from PIL import Image

from duplicates.planted import Images
from duplicates.transformations import TRANSFORMATIONS
from tandem.features.backbones.random_init import dead_leaves

NONE = np.zeros((0, 2), dtype=np.int64)


def generated(seed, *, width=200, height=150):
    """A textured image."""
    square = dead_leaves(1, size_px=256, seed=seed)[0]
    return Image.fromarray(square).resize((width, height))


def four_originals(folder):
    """0 and 2 of four originals have a duplicate by every transformation; 4 and 5 are those by the first of all."""
    original_of = np.array([0, 1, 2, 3, *[0, 2] * len(TRANSFORMATIONS)])
    return Images([folder / f"{row}.jpg" for row in range(len(original_of))], 4, original_of)


def by_first(pairs):
    """These pairs by the first transformation, none by the others."""
    first, *others = TRANSFORMATIONS
    return {first: np.array(pairs), **dict.fromkeys(others, NONE)}
