"""Near duplicates by nature are distinguished from other images."""

import numpy as np
from PIL import ImageOps

from duplicates import natural
from planted_duplicates import generated


def test_resized_mirrored_and_cropped_images_are_near_duplicates_and_others_are_not(tmp_path):
    one = generated(1, width=400, height=300)
    images = [
        one,
        generated(2, width=400, height=300),
        one.resize((300, 225)),
        ImageOps.mirror(one),
        one.crop((30, 20, 390, 290)),
    ]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path, quality=60)
    pairs = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 4]])
    assert natural.natural_duplicates(paths, pairs).tolist() == [[0, 2], [0, 3], [0, 4]]


def test_neighbors_are_checked_once_and_only_where_similar():
    features = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])
    assert natural.nearest_neighbors(features).tolist() == [[0, 1]]
