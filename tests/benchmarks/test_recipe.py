"""The recipe's training, on features that are planted, and how it prepares images."""

import numpy as np
import pytest
import torch

import recipe
from recipe import Part
from tandem.features.backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD


class PlantedFeatures:
    """Rows of a table; without normalization, other rows."""

    def __init__(self, features):
        self.features = torch.from_numpy(features)

    def in_training(self, rows):
        return self.in_test(rows, is_normalized=True)

    def in_test(self, rows, *, is_normalized):
        return self.features[rows] if is_normalized else -self.features[rows]


def test_images_are_normalized_as_the_weights_want_it_or_left_in_0_to_1():
    pixels = torch.from_numpy(np.full((1, 2, 2, 3), 255, np.uint8))
    assert recipe.prepare(pixels, is_normalized=False).eq(1).all()
    normalized = recipe.prepare(pixels, is_normalized=True)[0, :, 0, 0].tolist()
    assert normalized == pytest.approx([(1 - m) / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)])


def test_an_epoch_is_scored_on_val_and_test_with_and_without_normalization():
    rows, targets = np.arange(60), np.arange(60) % 2
    features = np.where(targets == 0, -1, 1).astype(np.float32)[:, None] * np.ones((60, 4), np.float32)
    parts = {
        name: Part(rows[part], targets[part])
        for name, part in {"train": slice(0, 40), "val": slice(40, 50), "test": slice(50, 60)}.items()
    }
    curve = recipe.fit(PlantedFeatures(features), parts, epochs=60, seed=0)
    assert len(curve) == 60
    assert curve[-1] == {("val", True): 1.0, ("val", False): 0.0, ("test", True): 1.0, ("test", False): 0.0}
