"""A small classifier, exported once."""

import pytest
import torch
from torch import nn

from tandem.inference.classifier import FeatureHead, TrainedClassifier
from tandem.inference.export import export_classifier
from tandem.inference.exported import ModelCard


class Colors(nn.Module):
    """(n, s, s, 3) uint8 to the mean of each color, from 0 to 1."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().mean(dim=(1, 2)) / 255


@pytest.fixture(scope="session")
def classifier():
    """Which color an image has most of. Two views."""
    head = nn.Linear(3, 3)
    head.load_state_dict({"weight": 8 * torch.eye(3), "bias": torch.zeros(3)})
    return TrainedClassifier([Colors()], FeatureHead([0], head), num_views=2).eval()


@pytest.fixture(scope="session")
def card():
    return ModelCard(
        model="colors",
        class_names=("red", "green", "blue"),
        size_px=16,
        resize="squash",
        tta_views=2,
        reject_threshold=0.9,
        provenance={"licences": {"web": "CC BY 4.0"}},
    )


@pytest.fixture(scope="session")
def exported(classifier, card, tmp_path_factory):
    """The path of the file."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_classifier(classifier, card, path)
    return path
