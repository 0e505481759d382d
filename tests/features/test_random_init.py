"""Where random weights end, the statistics of their BatchNorm layers, and the images that these are gathered from."""

import numpy as np
import pytest
import torch
from torch import nn

from networks import SIZE_PX, as_input, assert_close, classifier, load, penultimate
from networks import smooth_images as images
from tandem.features.backbones.backbone import Backbone
from tandem.features.backbones.random_init import dead_leaves


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load("mobilenet_v2")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer1"),
        ("mobilenet_v2", "features.4.conv.0"),
        ("convnext_tiny", "features.2.0"),
        ("swin_t", "features.0.0"),
    ],
)
def test_a_random_backbone_is_torchvision_s_up_to_its_last_map_of_a_quarter_of_the_side(name: str, layer: str) -> None:
    backbone = load(name, seed=5)
    net = classifier(name, seed=5)
    prefix = "classifier.extractor."
    state = {key.removeprefix(prefix): value for key, value in backbone.net.state_dict().items()}
    weights = {key: value for key, value in state.items() if "running" not in key and "num_batches" not in key}
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in weights.items())
    assert not net.load_state_dict(state, strict=False).unexpected_keys
    maps = [torch.zeros(0)]
    net.get_submodule(layer).register_forward_hook(lambda _layer, _inputs, output: maps.append(output))
    with torch.no_grad():
        net(as_input(images()))
    side = SIZE_PX // 4
    assert maps[-1].shape[2:] == (side, side)
    cells = maps[-1].unflatten(3, (4, side // 4)).unflatten(2, (4, side // 4)).mean((3, 5))
    assert_close(backbone.net(images()), cells.flatten(1))


def test_a_random_backbone_without_such_a_map_ends_where_a_trained_one_does() -> None:
    assert_close(load("alexnet", seed=5).net(images()), penultimate(classifier("alexnet"), images()))


def test_statistics_are_finite_and_features_tell_images_apart(backbone: Backbone) -> None:
    statistics = [value for key, value in backbone.net.state_dict().items() if "running" in key]
    assert len(statistics) == 20
    assert all(torch.isfinite(value).all() for value in statistics)
    assert not any(torch.equal(value, torch.ones_like(value)) for value in statistics)
    features = backbone.net(images())
    assert (features[0] - features[1]).norm() > 0.05 * features[0].norm()


def test_statistics_bring_what_passes_through_the_layers_to_scale(backbone: Backbone) -> None:
    outputs: list[torch.Tensor] = []
    norms = [layer for layer in backbone.net.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [layer.register_forward_hook(lambda _l, _i, output: outputs.append(output)) for layer in norms]
    backbone.net(torch.from_numpy(dead_leaves(48, size_px=SIZE_PX, seed=99)))
    for handle in handles:
        handle.remove()
    assert len(outputs) == len(norms)
    assert all(0.2 < float(output.std()) < 5 for output in outputs)


def test_statistics_move_as_torchvision_s_do_when_the_backbone_is_trained() -> None:
    norms = [layer for layer in load("shufflenet_v2_x0_5").net.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {layer.momentum for layer in norms} == {0.1}
    assert all(int(layer.num_batches_tracked) > 0 for layer in norms)


def test_the_seed_decides_every_pixel_of_dead_leaves() -> None:
    one, again, other = (dead_leaves(3, size_px=48, seed=seed) for seed in (0, 0, 1))
    assert one.shape == (3, 48, 48, 3)
    assert one.dtype == np.uint8
    assert (one == again).all()
    assert (one != other).any()


def test_neighboring_pixels_are_alike_as_in_photographs_and_images_are_not() -> None:
    leaves = dead_leaves(8, size_px=64, seed=0).astype(float)
    steps = np.abs(np.diff(leaves, axis=2)).mean()
    assert steps < 0.5 * np.abs(leaves - np.roll(leaves, 1, axis=0)).mean()
    neighbors = np.corrcoef(leaves[:, :, 1:].ravel(), leaves[:, :, :-1].ravel())[0, 1]
    assert 0.5 < neighbors < 0.999
    assert (leaves == 0).mean() < 0.1  # discs cover all of an image
