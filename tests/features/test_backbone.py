"""Backbones against the classifiers that they are cut from: frozen, and the same by the same seed."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from factories import RANDOM_WEIGHTS
from networks import SIZE_PX, SMALL, as_input, assert_close, classifier, last_layer, load, penultimate, saved
from networks import smooth_images as images
from tandem.errors import WeightsError
from tandem.features.backbones.backbone import Backbone, FeatureExtractor, load_backbone, provider_of, state_digest
from tandem.features.settings import BackboneSettings, ProviderName
from tandem.types import Interpolation

RANDOM = "mobilenet_v2"


@pytest.fixture(scope="module")
def random_backbone() -> Backbone:
    return load(RANDOM)


@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_a_provider_builds_its_classifiers_and_says_which_layer_is_the_last(name: ProviderName) -> None:
    provider = provider_of(name)
    assert len(provider.architectures()) > 50
    name = next(name for name in provider.architectures() if name.startswith("mobilenet"))
    built = provider.build(name, weights="random", size_px=SIZE_PX)
    logits = built.net.eval()(torch.zeros(1, 3, SIZE_PX, SIZE_PX))
    assert logits.shape == (1, built.net.get_submodule(built.last_layer).out_features)
    assert len(built.mean) == len(built.std) == 3
    state = built.net.state_dict()
    provider.adapt(state)
    assert not built.net.load_state_dict(state, strict=True).missing_keys
    with pytest.raises(WeightsError, match=f"{name} has no weights 'nothing'"):
        provider.weights_file(name, "nothing")


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("resnet50", 2048),
        ("mobilenet_v2", 1280),
        ("efficientnet_b0", 1280),
        ("squeezenet1_1", 512),
        ("mnasnet0_5", 1280),
        ("shufflenet_v2_x0_5", 1024),
        ("regnet_y_400mf", 440),
        ("densenet121", 1024),
        ("mobilenet_v3_small", 1024),
        ("convnext_tiny", 768),
        ("swin_t", 768),
    ],
)
def test_features_are_the_input_of_the_classifier_s_last_layer_which_makes_its_logits_of_them(
    name: str, dim: int, tmp_path: Path
) -> None:
    net = classifier(name)
    backbone = load(name, saved(tmp_path / "weights.pth", net.state_dict()))
    found, expected = backbone.net(images()), penultimate(net, images())
    assert backbone.dim == dim == found.shape[1]
    assert_close(found, expected)
    end = last_layer(net)
    if isinstance(end, nn.Linear):
        with torch.no_grad():
            logits = net(as_input(images()))
        assert_close(found @ end.weight.T + end.bias, logits)


def test_a_name_of_one_s_own_stands_for_the_architecture_that_it_names(random_backbone: Backbone) -> None:
    other = load("again", BackboneSettings(weights="random", architecture=RANDOM))
    assert (other.name, other.digest) == ("again", random_backbone.digest)


@pytest.mark.parametrize(("name", "architecture", "unknown"), [("xyz", None, "xyz"), ("mine", "nothing", "nothing")])
def test_an_unknown_architecture_is_an_error_that_names_the_parameter_and_lists_what_there_is(
    name: str, architecture: str | None, unknown: str
) -> None:
    with pytest.raises(
        WeightsError,
        match=rf"backbones\.{name}: there is no architecture '{unknown}' in torchvision; take one of: alexnet",
    ):
        load(name, BackboneSettings(weights="random", architecture=architecture))


@pytest.mark.parametrize("name", ["inception_v3", "vit_b_32"])
def test_images_of_a_size_that_does_not_fit_are_an_error(name: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"{name} takes no images of 64 x 64 pixels \(.+\); change extract\.size_px"
    ):
        load(name)


def test_images_of_its_own_size_that_does_not_fit_are_an_error_that_names_that_size() -> None:
    with pytest.raises(
        WeightsError,
        match=r"inception_v3 takes no images of 48 x 48 pixels .*; change backbones\.inception_v3\.size_px$",
    ):
        load("inception_v3", BackboneSettings(weights="random", size_px=48))


def test_a_backbone_is_frozen_and_in_eval_mode(random_backbone: Backbone) -> None:
    assert not any(module.training for module in random_backbone.net.modules())
    assert not any(parameter.requires_grad for parameter in random_backbone.net.parameters())


def test_a_forward_pass_leaves_the_state_bit_identical(random_backbone: Backbone) -> None:
    before = {key: value.clone() for key, value in random_backbone.net.state_dict().items()}
    random_backbone.net(images())
    after = random_backbone.net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(random_backbone: Backbone) -> None:
    torch.rand(3)
    assert load(RANDOM).digest == random_backbone.digest
    assert load(RANDOM, seed=1).digest != random_backbone.digest


def test_the_bytes_do_not_depend_on_the_number_of_threads(random_backbone: Backbone) -> None:
    torch.set_num_threads(2)
    try:
        assert load(RANDOM).digest == random_backbone.digest
    finally:
        torch.set_num_threads(1)


def test_the_digest_is_of_all_weights_and_statistics(random_backbone: Backbone) -> None:
    digests = {random_backbone.digest}
    state = random_backbone.net.state_dict()
    for end in ("weight", "running_var"):
        value = next(value for key, value in state.items() if key.endswith(end))
        before = value.clone()
        value.mul_(1.001)
        digests.add(state_digest(random_backbone.net))
        value.copy_(before)
    assert len(digests) == 3
    assert state_digest(random_backbone.net) == random_backbone.digest


def test_the_global_generators_are_left_alone(tmp_path: Path) -> None:
    weights = saved(tmp_path / "weights.pth", classifier(SMALL).state_dict())
    np.random.seed(3)  # noqa: NPY002
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load(SMALL)
    load(SMALL, weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()  # noqa: NPY002


def test_random_weights_without_an_early_exit_end_where_trained_ones_do() -> None:
    whole = load_backbone(SMALL, RANDOM_WEIGHTS, seed=5, size_px=SIZE_PX, early_exit=False)
    net = classifier(SMALL, seed=5)
    state = {key.removeprefix("classifier."): value for key, value in whole.net.state_dict().items()}
    net.load_state_dict(state, strict=False)
    assert_close(whole.net(images()), penultimate(net, images()))


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
@pytest.mark.parametrize("own_px", [48, SIZE_PX, 100])
def test_a_backbone_scales_larger_images_down_to_its_own_size(
    own_px: int, interpolation: Interpolation, tmp_path: Path
) -> None:
    weights = saved(tmp_path / "weights.pth", classifier(SMALL).state_dict())
    found = load(SMALL, replace(weights, size_px=own_px, interpolation=interpolation)).net(images())
    scaled = as_input(images())
    if own_px < SIZE_PX:
        scaled = nn.functional.interpolate(scaled, (own_px, own_px), mode=interpolation)
        black, white = (as_input(torch.full((1, 1, 1, 3), level, dtype=torch.uint8)) for level in (0, 255))
        scaled = scaled.clip(black, white)
    net = classifier(SMALL)
    net.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
    seen = []
    last_layer(net).register_forward_hook(lambda _layer, inputs, _output: seen.append(inputs[0]))
    with torch.no_grad():
        net.eval()(scaled)
    assert_close(found, seen[0])


def test_what_a_bicubic_filter_overshoots_is_cut_off_as_in_an_image() -> None:
    plain: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1), "size_px": 48}
    bilinear, bicubic = (
        FeatureExtractor(nn.Identity(), **plain, interpolation=each)(board()) for each in ("bilinear", "bicubic")
    )
    overshooting = nn.functional.interpolate(board().permute(0, 3, 1, 2) / 255, (48, 48), mode="bicubic")
    assert overshooting.min() < 0
    assert torch.equal(bicubic, overshooting.clip(0, 1))
    assert (bicubic - bilinear).abs().max() > 0.05


def board() -> torch.Tensor:
    """(1, 64, 64, 3) uint8, black and white squares of 5 px."""
    squares = (torch.arange(64) // 5 % 2)[:, None] ^ (torch.arange(64) // 5 % 2)
    return (255 * squares).to(torch.uint8)[None, :, :, None].expand(1, 64, 64, 3)


def test_a_size_of_its_own_is_that_for_which_random_weights_are_made() -> None:
    whole, own = (load(RANDOM, BackboneSettings("random", size_px=size_px)) for size_px in (None, 32))
    assert whole.digest != own.digest  # of statistics of smaller images
