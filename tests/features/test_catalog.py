"""What is read from torchvision's source, against what torchvision says of itself."""

import pytest
from torchvision import models

from tandem.errors import WeightsError
from tandem.features.backbones.catalog import (
    require_architecture,
    require_weights_name,
    torchvision_file,
    torchvision_weights,
)


def test_names_of_architectures_and_weights_are_those_that_torchvision_has() -> None:
    names = models.list_models(module=models)
    assert torchvision_weights() == {
        name: tuple(member.name for member in models.get_model_weights(name)) for name in names
    }
    assert list(torchvision_weights()) == names


def test_files_of_weights_are_those_that_torchvision_downloads() -> None:
    for name in models.list_models(module=models):
        for member in models.get_model_weights(name):
            found = torchvision_file(name, member.name)
            assert found is not None
            assert found.url == member.url
            assert found.num_bytes == round(member.meta["_file_size"] * 2**20)
    assert torchvision_file("resnet50", "IMAGENET1K_V9") is None
    assert torchvision_file("resnet-50", "IMAGENET1K_V1") is None


@pytest.mark.parametrize("written", ["resnet-18", "ResNet18", "resnet_18", "resnet18d"])
def test_a_name_that_is_nearly_one_is_met_with_it(written: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"backbones\.mine: .* '{written}'; did you mean 'resnet18'\? take one of: a"
    ):
        require_architecture("mine", written, torchvision_weights())


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("IMAGENET1K_V3", "did you mean 'IMAGENET1K_V1'? torchvision has IMAGENET1K_V1; take"),
        ("imagenet1k_v1", "did you mean 'IMAGENET1K_V1'?"),
        ("Random", "did you mean 'random'?"),
        ("xyz", "has no weights 'xyz'; torchvision has IMAGENET1K_V1; take one of those, a file"),
    ],
)
def test_weights_that_are_none_are_met_with_those_there_are(weights: str, words: str) -> None:
    with pytest.raises(WeightsError) as caught:
        require_weights_name("resnet18", weights, torchvision_weights()["resnet18"])
    assert words in str(caught.value)
