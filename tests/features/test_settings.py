"""Weights that are a file have a digest, and others have none; bounds are tested in tests/pipeline/test_schema.py."""

import pytest

from tandem.features.settings import BackboneSettings


@pytest.mark.parametrize("weights", ["net.pth", "weights/net", "../net.pth"])
def test_a_file_of_weights_needs_its_sha256(weights: str) -> None:
    assert BackboneSettings(weights, sha256="a" * 64).weights == weights
    with pytest.raises(ValueError, match=rf"weights '{weights}' is a file: state its sha256 beside it"):
        BackboneSettings(weights)


@pytest.mark.parametrize("weights", ["random", "IMAGENET1K_V1"])
def test_a_name_of_weights_takes_no_sha256(weights: str) -> None:
    assert BackboneSettings(weights).sha256 is None
    with pytest.raises(ValueError, match=rf"sha256 belongs to a file of weights, and '{weights}' is none; leave it"):
        BackboneSettings(weights, sha256="a" * 64)
