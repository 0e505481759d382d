"""Drawn images with the statistics of photographs, for networks that have seen none.

"Dead leaves" are overlapping discs of random size and color; with radii that follow a power law of exponent -3 they
share the scale invariance of photographs (Lee, Mumford & Huang, "Occlusion models for natural images", 2001).
"""

import numpy as np
from PIL import Image, ImageDraw


def dead_leaves(num_images: int, *, size_px: int, seed: int) -> np.ndarray:
    """(num_images, size_px, size_px, 3) uint8; disc radii follow a power law of exponent -3."""
    generator = np.random.default_rng(seed)
    return np.stack([_leaves(generator, size_px) for _ in range(num_images)])


def _leaves(generator: np.random.Generator, size_px: int, num_leaves: int = 400) -> np.ndarray:
    image = Image.new("RGB", (size_px, size_px))
    draw = ImageDraw.Draw(image)
    smallest, largest = 2.0, size_px / 2
    # inverse of the distribution function of p(r) ~ r^-3 between the two radii
    share = generator.random(num_leaves)
    radii = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    for radius, (x, y), color in zip(
        radii,
        generator.random((num_leaves, 2)) * size_px,
        generator.integers(0, 256, (num_leaves, 3)),
        strict=True,
    ):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(color.tolist()))
    return np.asarray(image)
