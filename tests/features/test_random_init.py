import numpy as np

from tandem.features.backbones.random_init import dead_leaves


def test_the_seed_decides_every_pixel():
    one, again, other = (dead_leaves(3, size_px=48, seed=seed) for seed in (0, 0, 1))
    assert one.shape == (3, 48, 48, 3)
    assert one.dtype == np.uint8
    assert (one == again).all()
    assert not (one == other).all()


def test_neighbors_are_alike_as_in_photographs_and_images_are_not():
    images = dead_leaves(8, size_px=64, seed=0).astype(float)
    steps = np.abs(np.diff(images, axis=2)).mean()
    assert steps < 0.5 * np.abs(images - np.roll(images, 1, axis=0)).mean()
