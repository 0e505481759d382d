"""A classifier's parts against numpy.

That it gives the logits of each trained model is tested in project/test_export.py.
"""

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from tandem.inference.classifier import FeatureHead, LogitHead, TrainedClassifier, WeightedMean

RNG = np.random.default_rng(0)
ONE, OTHER = (RNG.normal(size=(4, 2, dim)).astype(np.float32) for dim in (3, 5))  # 4 images, 2 views
FEATURES = [torch.from_numpy(ONE), torch.from_numpy(OTHER)]


def layer(fan_in: int, fan_out: int = 3) -> tuple[nn.Linear, np.ndarray, np.ndarray]:
    """A linear layer, its weight and its bias."""
    made = nn.Linear(fan_in, fan_out)
    return made, made.weight.detach().numpy(), made.bias.detach().numpy()


def test_a_head_reads_its_backbones_side_by_side_and_takes_the_mean_over_views() -> None:
    made, weight, bias = layer(8)
    expected = (np.concatenate([OTHER, ONE], axis=-1) @ weight.T + bias).mean(axis=1)
    np.testing.assert_allclose(FeatureHead([1, 0], made)(FEATURES).detach(), expected, atol=1e-5)


def test_a_head_on_logits_reads_those_of_its_heads() -> None:
    (one, weight, bias), (top, top_weight, top_bias) = layer(3, 2), layer(4, 2)
    logits = (ONE @ weight.T + bias).mean(axis=1)
    expected = np.concatenate([logits, logits], axis=1) @ top_weight.T + top_bias
    head = LogitHead([FeatureHead([0], one), FeatureHead([0], one)], top)
    np.testing.assert_allclose(head(FEATURES).detach(), expected, atol=1e-5)


def test_a_weighted_mean_is_of_probs_and_its_log_is_divided_by_the_temperature() -> None:
    (one, weight, bias), (other, other_weight, other_bias) = layer(3), layer(5)
    probs = [
        softmax((views @ of_layer.T + shift).mean(axis=1), axis=-1)
        for views, of_layer, shift in ((ONE, weight, bias), (OTHER, other_weight, other_bias))
    ]
    expected = np.log(0.25 * probs[0] + 0.75 * probs[1]) / 1.5
    head = WeightedMean([FeatureHead([0], one), FeatureHead([1], other)], [0.25, 0.75], 1.5)
    np.testing.assert_allclose(head(FEATURES).detach(), expected, atol=1e-5)


def test_a_classifier_takes_the_views_of_an_image_one_after_another() -> None:
    class Means(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean(dim=(1, 2)) / 255

    made, weight, bias = layer(3)
    pixels = torch.randint(0, 256, (6, 4, 4, 3), dtype=torch.uint8)  # 3 images of 2 views
    means = (pixels.numpy() / 255).mean(axis=(1, 2)).reshape(3, 2, 3).mean(axis=1)
    probs = TrainedClassifier([Means()], FeatureHead([0], made), num_views=2)(pixels).detach().numpy()
    np.testing.assert_allclose(np.log(probs), log_softmax(means @ weight.T + bias, axis=-1), atol=1e-5)
