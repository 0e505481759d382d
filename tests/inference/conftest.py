"""A small classifier, exported once."""

import pytest

from tandem.inference.export import write_model
from tandem.inference.exported import ModelCard
from toy_model import colors_model


@pytest.fixture(scope="session")
def card():
    return ModelCard(
        model="colors",
        class_names=("red", "green", "blue"),
        size_px=16,
        resize="squash",
        tta_views=2,
        temperature=1.5,
        reject_threshold=0.9,
        provenance={"licences": {"web": "CC BY 4.0"}},
    )


@pytest.fixture(scope="session")
def exported(card, tmp_path_factory):
    """The path of the file."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    write_model(colors_model(num_views=2), card, path)
    return path
