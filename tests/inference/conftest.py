"""A small classifier, exported once."""

import pytest

from tandem.inference.export import write_model
from toy_model import CARD, colors_model


@pytest.fixture(scope="session")
def card():
    return CARD


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The path of the file."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    write_model(colors_model(num_views=2), CARD, path)
    return path
