"""torchvision's names, addresses and old files; and that its tracer gives what a network's layers give."""

import re
from pathlib import Path

import pytest
import torch

from networks import assert_close, classifier, load, penultimate, saved
from networks import smooth_images as images
from tandem.errors import WeightsError
from tandem.features.backbones import torchvision


def test_the_architectures_are_classifiers_alone() -> None:
    names = torchvision.architectures()
    assert {"resnet50", "mobilenet_v2", "vit_b_16"} <= set(names)
    assert not [name for name in names if "rcnn" in name or "quantized" in name or "fcn" in name]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "fc"),
        ("mobilenet_v2", "classifier.1"),
        ("squeezenet1_1", "classifier.1"),
        ("vit_b_16", "heads.head"),
    ],
)
def test_the_last_layer_is_the_one_that_gives_the_logits(name: str, layer: str) -> None:
    assert torchvision.build(name, weights="random", size_px=64).last_layer == layer


@pytest.mark.parametrize("with_auxiliary_classifiers", [True, False])
def test_googlenet_gets_what_its_imagenet_weights_expect_with_or_without_auxiliary_classifiers(
    with_auxiliary_classifiers: bool, tmp_path: Path
) -> None:
    options = {"init_weights": False, "transform_input": True, "aux_logits": with_auxiliary_classifiers}
    net = classifier("googlenet", num_classes=7, **options)
    weights = saved(tmp_path / "weights.pth", net.state_dict())
    assert_close(load("googlenet", weights).net(images()), penultimate(net, images()))


def test_files_with_the_old_names_of_densenet_load(tmp_path: Path) -> None:
    net = classifier("densenet121")
    state = net.state_dict()
    old = {re.sub(r"(layer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value for key, value in state.items()}
    assert old.keys() != state.keys()
    weights = saved(tmp_path / "weights.pth", old)
    assert_close(load("densenet121", weights).net(images()), penultimate(net, images()))


def test_an_unknown_name_of_weights_is_an_error_that_lists_torchvision_s() -> None:
    with pytest.raises(
        WeightsError,
        match=r"mobilenet_v2 has no weights 'imagenet'; .*torchvision has IMAGENET1K_V1, IMAGENET1K_V2; .*sha256",
    ):
        load("mobilenet_v2", "imagenet")


def test_a_network_is_cut_behind_the_last_step_whose_output_is_wanted() -> None:
    net = classifier("resnet18")
    seen = []
    net.layer1.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        net(pixels)
        cut = torchvision.cut_at_last(net, pixels, lambda output: output.shape[1:] == (64, 16, 16))
        assert cut is not None
        assert torch.equal(cut(pixels), seen[0])
    assert all(name.startswith(("conv1", "bn1", "layer1")) for name in cut.state_dict())
    assert torchvision.cut_at_last(net, pixels, lambda output: output.shape[1:] == (64, 17, 17)) is None
