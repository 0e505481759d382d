"""Which layers a backbone has, that only unfrozen ones change, and how fast each may."""

import pytest
import torch
from torch import nn
from torchvision import models

from tandem.features.backbones.backbone import FeatureExtractor
from tandem.features.backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD
from tandem.finetune.layers import parameter_groups, split_layers, unfreeze


def backbone(name: str) -> FeatureExtractor:
    return FeatureExtractor(
        models.get_model(name, weights=None),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        size_px=None,
        interpolation="bilinear",
    ).eval()


def tops(names: tuple[str, ...], depth: int) -> list[str]:
    """The first parts of dotted names, each once."""
    return list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in names))


def test_the_layers_of_a_resnet_are_torchvision_s() -> None:
    layers = [tops(layer, 2) for layer in split_layers(backbone("resnet18"), size_px=64)]
    assert layers == [
        ["classifier.conv1", "classifier.bn1"],
        ["classifier.layer1"],
        ["classifier.layer2"],
        ["classifier.layer3"],
        ["classifier.layer4", "classifier.fc"],
    ]


def test_the_layers_of_mobilenet_begin_where_its_maps_shrink() -> None:
    layers = [tops(layer, 3) for layer in split_layers(backbone("mobilenet_v2"), size_px=64)]
    numbers = [[int(name.rsplit(".", 1)[1]) for name in layer if "features" in name] for layer in layers]
    assert numbers == [[0, 1], [2, 3], [4, 5, 6], [*range(7, 14)], [*range(14, 19)]]


@pytest.mark.parametrize("name", ["squeezenet1_1", "densenet121", "convnext_tiny", "regnet_y_400mf", "efficientnet_b0"])
def test_every_classifier_has_five_layers_that_have_no_parameter_in_common(name: str) -> None:
    net = backbone(name)
    layers = split_layers(net, size_px=64)
    assert len(layers) == 5
    assert all(layers)
    parameters = [id(p) for layer in layers for part in layer for p in net.get_submodule(part).parameters()]
    assert len(parameters) == len(set(parameters))
    assert sum(parameters.count(id(p)) for p in net.parameters()) >= 0.9 * len(list(net.parameters()))


def test_a_transformer_of_one_side_is_dealt_evenly() -> None:
    layers = split_layers(backbone("vit_b_16"), size_px=224)
    assert [len(layer) for layer in layers] == [3, 3, 3, 3, 3]


@pytest.mark.parametrize("num_layers", [1, 3, 5])
def test_gradients_flow_into_unfrozen_layers_and_frozen_ones_stay_the_same_to_the_last_bit(num_layers: int) -> None:
    net, head = backbone("mobilenet_v2"), nn.Linear(1000, 2)
    unfrozen = unfreeze(net, num_layers, size_px=32)
    names = [name for layer in split_layers(net, size_px=32)[-num_layers:] for name in layer]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(head, unfrozen, lr=0.1, layer_decay=0.9, weight_decay=0.1))
    for module in unfrozen.modules:
        module.train()
    head(net(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8))).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    expected = {key for key in before if num_layers == 5 or any(key.startswith(f"{name}.") for name in names)}
    with_gradient = {name for name, parameter in net.named_parameters() if parameter.grad is not None}
    assert with_gradient == expected & dict(net.named_parameters()).keys()
    assert changed <= expected
    assert any("running_mean" in key for key in changed)


def test_each_layer_below_is_slower_and_norms_and_biases_are_not_decayed() -> None:
    net, head = backbone("resnet18"), nn.Linear(1000, 2)
    groups = parameter_groups(head, unfreeze(net, 2, size_px=32), lr=0.1, layer_decay=0.5, weight_decay=0.3)
    options = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert options[id(head.weight)] == (0.1, 0.3)
    assert options[id(head.bias)] == (0.1, 0.0)
    last, before = net.classifier.layer4[0], net.classifier.layer3[0]
    assert options[id(last.conv1.weight)] == (0.05, 0.3)
    assert options[id(last.bn1.weight)] == options[id(last.bn1.bias)] == (0.05, 0.0)
    assert options[id(before.conv1.weight)] == (0.025, 0.3)
    assert id(net.classifier.layer2[0].conv1.weight) not in options
