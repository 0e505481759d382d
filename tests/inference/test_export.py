"""The exported file gives what the classifier gives, for any number of images."""

import numpy as np
import pytest
import torch

from tandem.inference.export import export_classifier
from tandem.inference.exported import load_exported


@pytest.mark.parametrize("num_images", [1, 2, 7])
def test_any_number_of_images_has_the_probs_of_the_classifier(exported, classifier, num_images):
    pixels = np.random.default_rng(num_images).integers(0, 256, (2 * num_images, 16, 16, 3), dtype=np.uint8)
    probs = load_exported(exported).probs(pixels)
    assert probs.shape == (num_images, 3)
    with torch.inference_mode():
        np.testing.assert_allclose(probs, classifier(torch.from_numpy(pixels)), rtol=0, atol=1e-6)


def test_the_same_classifier_gives_the_same_bytes_twice_and_says_nothing(exported, classifier, card, tmp_path, capfd):
    digest = export_classifier(classifier, card, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()
    assert len(digest) == 64
    assert capfd.readouterr() == ("", "")
