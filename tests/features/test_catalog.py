"""What is read from torchvision's source, against what torchvision says of itself."""

import pytest
import timm
from torchvision import models

from tandem.errors import WeightsError
from tandem.features.backbones.catalog import (
    known_weights,
    require_architecture,
    require_weights_name,
    timm_weights,
    torchvision_file,
    torchvision_weights,
)
from tandem.features.settings import ProviderName


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


@pytest.mark.parametrize("written", ["resnet-18", "ResNet18", "resnet_18", "resnet18x"])
def test_a_name_that_is_nearly_one_is_met_with_it(written: str) -> None:
    with pytest.raises(
        WeightsError,
        match=rf"backbones\.mine: .* '{written}' in torchvision; did you mean 'resnet18'\? it has 80 others$",
    ):
        require_architecture("mine", written, torchvision_weights(), provider="torchvision")


def test_a_name_of_the_other_provider_is_met_with_that_provider_alone() -> None:
    with pytest.raises(
        WeightsError, match=r"in torchvision; timm has it: write `provider: timm` beside it; it has 80 others$"
    ):
        require_architecture("mine", "tf_efficientnet_lite0", torchvision_weights(), provider="torchvision")


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
        require_weights_name("resnet18", weights, torchvision_weights()["resnet18"], provider="torchvision")
    assert words in str(caught.value)


def test_names_of_timm_are_those_that_it_has_and_no_weights_that_it_has_are_refused() -> None:
    found = timm_weights()
    assert list(found) == sorted(timm.list_models())
    for name, _, tag in (each.partition(".") for each in timm.list_pretrained()):
        assert tag in found[name] or not found[name]  # of a few families timm makes up the names while it is imported
    listed = {f"{name}.{tag}" for name, tags in found.items() for tag in tags}
    assert len(listed - set(timm.list_pretrained())) < 10  # those that have a tag and no file


@pytest.mark.parametrize(
    ("written", "provider", "words"),
    [
        ("tf_efficientnet_lite2", "torchvision", "timm has it: write `provider: timm` beside it; "),
        ("shufflenet_v2_x1_0", "timm", "torchvision has it: write `provider: torchvision` beside it; "),
        ("tf_efficientnet_lite22", "timm", "did you mean 'tf_efficientnet_lite2'? it has 1,3"),
    ],
)
def test_a_name_of_the_other_provider_is_met_with_that(written: str, provider: ProviderName, words: str) -> None:
    with pytest.raises(WeightsError) as caught:
        require_architecture("mine", written, known_weights(provider), provider=provider)
    assert f"backbones.mine: there is no architecture '{written}' in {provider}; {words}" in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_a_name_of_timm_may_have_a_tag() -> None:
    require_architecture("mine", "tf_efficientnet_lite0.in1k", timm_weights(), provider="timm")
