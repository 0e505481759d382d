"""Which layers a backbone has, that only unfrozen ones change, and how fast each may."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torchvision import models

from tandem.features.backbones.backbone import FeatureExtractor
from tandem.finetune import layers as unfreezing


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def backbone(name: str) -> FeatureExtractor:
    return FeatureExtractor(models.get_model(name, weights=None)).eval()


def tops(names: tuple[str, ...], depth: int) -> list[str]:
    """The first parts of dotted names, each once."""
    return list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in names))


def test_the_layers_of_a_resnet_are_torchvision_s() -> None:
    layers = [tops(layer, 2) for layer in unfreezing.split_layers(backbone("resnet18"), size_px=64)]
    stem, *rest = layers
    assert stem == ["classifier.conv1", "classifier.bn1"]
    assert rest == [
        ["classifier.layer1"],
        ["classifier.layer2"],
        ["classifier.layer3"],
        ["classifier.layer4", "classifier.fc"],
    ]


def test_the_layers_of_mobilenet_begin_where_its_maps_shrink() -> None:
    layers = [tops(layer, 3) for layer in unfreezing.split_layers(backbone("mobilenet_v2"), size_px=64)]
    numbers = [[int(name.rsplit(".", 1)[1]) for name in layer if "features" in name] for layer in layers]
    assert numbers == [[0, 1], [2, 3], [4, 5, 6], [*range(7, 14)], [*range(14, 19)]]


@pytest.mark.parametrize("name", ["squeezenet1_1", "densenet121", "convnext_tiny", "regnet_y_400mf", "efficientnet_b0"])
def test_every_classifier_has_five_layers_that_share_nothing(name: str) -> None:
    net = backbone(name)
    layers = unfreezing.split_layers(net, size_px=64)
    assert len(layers) == 5
    assert all(layers)
    parameters = [id(p) for layer in layers for part in layer for p in net.get_submodule(part).parameters()]
    assert len(parameters) == len(set(parameters))
    assert sum(parameters.count(id(p)) for p in net.parameters()) >= 0.9 * len(list(net.parameters()))


def test_a_transformer_of_one_side_is_dealt_evenly() -> None:
    layers = unfreezing.split_layers(backbone("vit_b_16"), size_px=224)
    assert [len(layer) for layer in layers] == [3, 3, 3, 3, 3]


@pytest.mark.parametrize("num_layers", [1, 3, 5])
def test_gradients_flow_where_it_is_unfreezeed_and_frozen_layers_stay_the_same_to_the_last_bit(num_layers: int) -> None:
    net, head = backbone("mobilenet_v2"), nn.Linear(1000, 2)
    unfrozen = unfreezing.unfreeze(net, num_layers, size_px=32)
    names = [name for layer in unfreezing.split_layers(net, size_px=32)[-num_layers:] for name in layer]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(
        unfreezing.parameter_groups(head, unfrozen, lr=0.1, layer_decay=0.9, weight_decay=0.1)
    )
    unfreezing.set_train_mode(net, unfrozen.modules)
    head(net(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8))).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    own = {key for key in before if num_layers == 5 or any(key.startswith(f"{name}.") for name in names)}
    assert {name for name, p in net.named_parameters() if p.grad is not None} == own & dict(
        net.named_parameters()
    ).keys()
    assert changed <= own
    assert any("running_mean" in key for key in changed)
    assert (
        all(not module.training for name, module in net.named_modules() if not any(name.startswith(n) for n in names))
        or num_layers == 5
    )


def test_each_layer_below_is_slower_and_norms_and_biases_are_not_decayed() -> None:
    net, head = backbone("resnet18"), nn.Linear(1000, 2)
    unfrozen = unfreezing.unfreeze(net, 2, size_px=32)
    groups = unfreezing.parameter_groups(head, unfrozen, lr=0.1, layer_decay=0.5, weight_decay=0.3)
    told = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert told[id(head.weight)] == (0.1, 0.3)
    assert told[id(head.bias)] == (0.1, 0.0)
    last, before = net.classifier.layer4[0], net.classifier.layer3[0]
    assert told[id(last.conv1.weight)] == (0.05, 0.3)
    assert told[id(last.bn1.weight)] == told[id(last.bn1.bias)] == (0.05, 0.0)
    assert told[id(before.conv1.weight)] == (0.025, 0.3)
    assert id(net.classifier.layer2[0].conv1.weight) not in told


def test_what_lies_between_is_a_weighted_mean_and_what_is_frozen_stays_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    start = {"unfrozen": torch.randn(50, generator=generator), "frozen": torch.randn(50, generator=generator)}
    start["seen"] = torch.tensor(3)
    tuned = {
        "unfrozen": torch.randn(50, generator=generator),
        "frozen": start["frozen"].clone(),
        "seen": torch.tensor(9),
    }
    mixed = unfreezing.interpolate_weights(start, tuned, alpha=0.3)
    assert torch.allclose(mixed["unfrozen"], 0.7 * start["unfrozen"] + 0.3 * tuned["unfrozen"], atol=1e-6)
    assert torch.equal(mixed["frozen"], start["frozen"])
    assert mixed["seen"] == 9


@pytest.mark.parametrize(("epochs", "warmup"), [(10, 2), (4, 0), (3, 3)])
def test_the_lr_rises_in_a_line_and_falls_by_torch_s_cosine(epochs: int, warmup: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs - warmup))
    for epoch in range(epochs + 1):
        share = unfreezing.warmup_cosine(epoch, epochs=epochs, warmup_epochs=warmup)
        if epoch < warmup:
            assert share == pytest.approx(epoch / warmup)
        elif epochs > warmup:
            assert share == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            cosine.step()
        else:
            assert share == 1
