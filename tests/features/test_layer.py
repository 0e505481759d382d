"""Backbones that end at an earlier layer, against what that layer gives inside torchvision's and timm's networks."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from networks import SIZE_PX, SMALL, as_input, assert_close, classifier, file_weights, load, penultimate, saved
from networks import smooth_images as images
from tandem.errors import WeightsError
from tandem.features.backbones.backbone import Backbone
from tandem.features.backbones.layer import cut_at, pool_last_map
from tandem.features.engines.openvino import openvino_engine
from tandem.features.settings import BackboneSettings, Pooling
from tandem.inference.convert import to_onnx
from tandem.inference.runtime import start_session


def given_by(net: nn.Module, layer: str, pixels: torch.Tensor) -> torch.Tensor:
    """What a layer gives when the whole network runs."""
    outputs: list[torch.Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    with torch.no_grad():
        net(as_input(pixels))
    handle.remove()
    [output] = outputs
    return output


def cut(
    path: Path,
    name: str,
    net: nn.Module,
    layer: str | None,
    *,
    provider: str = "torchvision",
    pooling: Pooling = "average",
) -> Backbone:
    settings = replace(saved(path, net.state_dict()), provider=provider, layer=layer, pooling=pooling)
    return load(name, settings)


@pytest.mark.parametrize(
    ("name", "layer", "positions"),
    [("resnet18", "layer3", (2, 3)), (SMALL, "stage3", (2, 3)), ("swin_t", "features.3", (1, 2))],
)
def test_features_are_the_mean_over_positions_of_what_the_layer_gives(
    name: str, layer: str, positions: tuple[int, int], tmp_path: Path
) -> None:
    net = classifier(name)
    backbone, expected = cut(tmp_path / "weights.pth", name, net, layer), given_by(net, layer, images())
    assert expected.shape[positions[0]] == expected.shape[positions[1]] < SIZE_PX
    assert_close(backbone.net(images()), expected.mean(positions))
    assert backbone.dim == expected.mean(positions).shape[1]


def pooled(maps: torch.Tensor, pooling: Pooling) -> np.ndarray:
    """(n, C) of maps (n, C, side, side), in float64."""
    values = maps.flatten(2).double().numpy()
    return values.max(axis=2) if pooling == "max" else np.cbrt((np.maximum(values, 0) ** 3).mean(axis=2))


@pytest.mark.parametrize("pooling", ["max", "gem"])
@pytest.mark.parametrize(("layer", "last"), [("layer3", "layer3"), (None, "layer4")])
def test_a_map_is_pooled_as_is_said(layer: str | None, last: str, pooling: Pooling, tmp_path: Path) -> None:
    net = classifier("resnet18")
    backbone = cut(tmp_path / "weights.pth", "resnet18", net, layer, pooling=pooling)
    expected = pooled(given_by(net, last, images()), pooling)
    assert_close(backbone.net(images()), torch.from_numpy(expected).float())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", SMALL])
def test_the_average_of_the_last_map_is_what_the_last_layer_sees(name: str) -> None:
    net = classifier(name)
    found = pool_last_map(net, "average", backbone=name, size_px=SIZE_PX)
    with torch.no_grad():
        assert_close(found(as_input(images())), penultimate(net, images()))


def test_a_network_without_a_map_cannot_be_pooled_otherwise() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(WeightsError, match=r"^backbones\.flat\.pooling: the network gives no map .*leave pooling out"):
        pool_last_map(flat, "gem", backbone="flat", size_px=8)


def test_random_weights_have_their_real_end_where_they_are_pooled_otherwise() -> None:
    assert load("resnet18", BackboneSettings("random", pooling="gem")).dim == 512


def test_tokens_are_averaged_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True).eval()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    settings = replace(file_weights(tmp_path / "weights.pth"), provider="timm", layer="blocks.5")
    found = load("vit_tiny_patch16_224", settings)
    pixels = images().permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(net.default_cfg[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        tokens = net.forward_intermediates((pixels - mean) / std, indices=[5], norm=False, output_fmt="NLC")[1][0]
    with_prefix = given_by_blocks(net, (pixels - mean) / std)
    assert torch.equal(with_prefix[:, 1:], tokens)  # the class token stands before them, and counts as one more
    assert_close(found.net(images()), with_prefix.mean(1))


def given_by_blocks(net: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    outputs: list[torch.Tensor] = []
    handle = net.get_submodule("blocks.5").register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    with torch.no_grad():
        net(inputs)
    handle.remove()
    return outputs[0]


def test_what_follows_the_layer_is_in_no_graph(tmp_path: Path) -> None:
    net = classifier(SMALL)
    whole = load(SMALL, saved(tmp_path / "whole.pth", net.state_dict()))
    backbone = cut(tmp_path / "weights.pth", SMALL, net, "stage2")
    data = to_onnx(backbone, size_px=SIZE_PX)
    assert len(data) < sum(each.nbytes for each in whole.net.parameters()) / 4
    [by_graph] = start_session(data).run(None, {"pixels": images().numpy()})
    assert_close(torch.from_numpy(by_graph), backbone.net(images()))


@pytest.mark.parametrize("pooling", ["max", "gem"])
def test_a_graph_pools_as_torch_does(pooling: Pooling, tmp_path: Path) -> None:
    backbone = cut(tmp_path / "weights.pth", SMALL, classifier(SMALL), None, pooling=pooling)
    [by_graph] = start_session(to_onnx(backbone, size_px=SIZE_PX)).run(None, {"pixels": images().numpy()})
    assert_close(torch.from_numpy(by_graph), backbone.net(images()))


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is installed on Linux x86-64 alone")
@pytest.mark.parametrize("pooling", ["average", "max", "gem"])
def test_openvino_agrees(pooling: Pooling, tmp_path: Path) -> None:
    backbone = cut(tmp_path / "weights.pth", SMALL, classifier(SMALL), "stage2", pooling=pooling)
    engine = openvino_engine(backbone.net, torch.device("cpu"), size_px=SIZE_PX, batch_size=3)
    found = torch.from_numpy(np.concatenate(list(engine.embed([images().numpy()]))))
    assert torch.cosine_similarity(found, backbone.net(images())).min() > 0.99


def test_random_weights_end_at_the_layer_that_is_named() -> None:
    assert load(SMALL, BackboneSettings("random", layer="stage2")).dim == 48
    assert load(SMALL).dim != 48


def test_a_layer_that_there_is_not_is_an_error_with_those_that_there_are() -> None:
    found = r"there is no layer 'layer5'; did you mean 'layer\d'\? it has conv1, bn1, relu, maxpool, layer1, layer1.0, "
    with pytest.raises(WeightsError, match=rf"^backbones\.resnet18\.layer: {found}"):
        load("resnet18", BackboneSettings("random", layer="layer5"))


def test_many_layers_are_not_listed() -> None:
    net = nn.Sequential(*(nn.Identity() for _ in range(50)))
    with pytest.raises(WeightsError, match=r"^backbones\.deep\.layer: there is no layer '5o'; .*it has 50 others$"):
        cut_at(net, "5o", backbone="deep", size_px=8)


class Odd(nn.Module):
    """A network with a layer that never runs, and one that gives no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.idle, self.pair, self.flat = nn.Identity(), Pair(), nn.Flatten(0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.flat(self.pair(inputs)[0])


class Pair(nn.Module):
    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, inputs


@pytest.mark.parametrize(
    ("layer", "why"),
    [("idle", "the network does not run it"), ("pair", "no features of two images"), ("flat", "no features")],
)
def test_a_layer_that_gives_no_features_is_an_error(layer: str, why: str) -> None:
    with pytest.raises(WeightsError, match=rf"^backbones\.odd\.layer: {layer} cannot be used, .*{why}.*another layer$"):
        cut_at(Odd(), layer, backbone="odd", size_px=8)
