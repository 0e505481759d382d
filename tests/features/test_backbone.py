"""Trunks against torchvision's own classifiers, frozen weights, and every way in which weights can be wrong."""

import hashlib
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from tandem.errors import WeightsError
from tandem.features.backbones import backbone as backbones
from tandem.features.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from tandem.features.backbones.random_init import dead_leaves

SIZE = 64
SMALL = "shufflenet_v2_x0_5"
RANDOM = "mobilenet_v2"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and lose much when other work has the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(*, count: int = 3, seed: int = 0) -> torch.Tensor:
    """(count, SIZE, SIZE, 3) uint8: smooth images of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    large = [Image.fromarray(each).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for each in colors]
    return torch.from_numpy(np.stack([np.asarray(image) for image in large]))


def as_input(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std


def last_layer(classifier: nn.Module) -> nn.Module:
    return [layer for layer in classifier.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


def classifier(name: str, *, num_classes: int = 1000, seed: int = 5, **options: object) -> nn.Module:
    """torchvision's network with drawn weights and, in BatchNorm layers, the statistics of drawn images."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        net = models.get_model(name, weights=None, num_classes=num_classes, **options).eval()
        norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in norms:
            layer.train().momentum = 1.0
        if norms:
            net(as_input(images(count=4, seed=1)))
    return net.eval()


def penultimate(net: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """What the last layer of a classifier is given; the mean over positions where it is a convolution."""
    seen = []
    handle = last_layer(net).register_forward_hook(lambda _layer, inputs, _output: seen.append(inputs[0]))
    with torch.no_grad():
        net(as_input(pixels))
    handle.remove()
    return seen[0] if seen[0].ndim == 2 else seen[0].mean((2, 3))


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for rounding, measured by how much the rows of different images differ."""
    scale = float(expected.std(0).max())
    assert scale > 0.01 * float(expected.abs().max())
    assert torch.allclose(found / scale, expected / scale, rtol=1e-4, atol=1e-4)


def saved(path: Path, value: object) -> tuple[Path, str]:
    torch.save(value, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def load(name: str, *, weights: str | Path = "random", digest: str | None = None, seed: int = 0) -> Backbone:
    return backbones.load_backbone(name, weights=str(weights), sha256=digest, seed=seed, size_px=SIZE)


@pytest.fixture(scope="module")
def random_backbone() -> Backbone:
    return load(RANDOM)


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
def test_the_trunk_gives_what_the_classifier_s_last_layer_is_given_and_makes_its_logits_of(
    name: str, dim: int, tmp_path: Path
) -> None:
    net = classifier(name)
    path, digest = saved(tmp_path / "weights.pth", net.state_dict())
    backbone = load(name, weights=path, digest=digest)
    found, expected = backbone.net(images()), penultimate(net, images())
    assert backbone.dim == dim == found.shape[1]
    assert_close(found, expected)
    end = last_layer(net)
    if isinstance(end, nn.Linear):
        with torch.no_grad():
            logits = net(as_input(images()))
        assert_close(found @ end.weight.T + end.bias, logits)


def test_a_name_of_one_s_own_stands_for_the_architecture_that_it_names(random_backbone: Backbone) -> None:
    given = {"weights": "random", "sha256": None, "seed": 0, "size_px": SIZE}
    other = backbones.load_backbone("again", architecture=RANDOM, **given)
    assert (other.name, other.digest) == ("again", random_backbone.digest)
    with pytest.raises(WeightsError, match="no classifier 'nothing'"):
        backbones.load_backbone(RANDOM, architecture="nothing", **given)


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
    drawn = {key: value for key, value in state.items() if "running" not in key and "num_batches" not in key}
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in drawn.items())
    assert not net.load_state_dict(state, strict=False).unexpected_keys
    maps = [torch.zeros(0)]
    net.get_submodule(layer).register_forward_hook(lambda _layer, _inputs, output: maps.append(output))
    with torch.no_grad():
        net(as_input(images()))
    side = SIZE // 4
    assert maps[-1].shape[2:] == (side, side)
    cells = maps[-1].unflatten(3, (4, side // 4)).unflatten(2, (4, side // 4)).mean((3, 5))
    assert_close(backbone.net(images()), cells.flatten(1))


def test_a_random_backbone_without_such_a_map_ends_where_a_trained_one_does() -> None:
    assert_close(load("alexnet", seed=5).net(images()), penultimate(classifier("alexnet"), images()))


@pytest.mark.parametrize("with_side_classifiers", [True, False])
def test_googlenet_is_fed_as_its_imagenet_weights_expect_with_or_without_side_classifiers(
    with_side_classifiers: bool, tmp_path: Path
) -> None:
    net = classifier(
        "googlenet", init_weights=False, transform_input=True, aux_logits=with_side_classifiers, num_classes=7
    )
    path, digest = saved(tmp_path / "weights.pth", net.state_dict())
    found, expected = load("googlenet", weights=path, digest=digest).net(images()), penultimate(net, images())
    assert_close(found, expected)


def test_a_fine_tuned_classifier_with_other_classes_loads(tmp_path: Path) -> None:
    net = classifier(SMALL, num_classes=3)
    path, digest = saved(tmp_path / "weights.pth", net.state_dict())
    assert_close(load(SMALL, weights=path, digest=digest).net(images()), penultimate(net, images()))


def test_files_with_the_old_names_of_densenet_load(tmp_path: Path) -> None:
    net = classifier("densenet121")
    state = net.state_dict()
    old = {re.sub(r"(layer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value for key, value in state.items()}
    assert old.keys() != net.state_dict().keys()
    path, digest = saved(tmp_path / "weights.pth", old)
    found = load("densenet121", weights=path, digest=digest).net(images())
    assert_close(found, penultimate(net, images()))


def test_files_with_the_old_names_of_vision_transformers_load() -> None:
    net, other = (
        models.VisionTransformer(image_size=32, patch_size=16, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8)
        for _ in range(2)
    )
    state = net.state_dict()
    new_names = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
    old = {re.sub(r"mlp\.[03]\.", lambda match: new_names[match[0]], key): value for key, value in state.items()}
    assert old.keys() != state.keys()
    backbones._fill(other, old, end="heads.head", described="a file")
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items() if "heads" not in key)


def test_files_from_before_num_batches_tracked_load(tmp_path: Path) -> None:
    net = classifier(SMALL)
    old = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    path, digest = saved(tmp_path / "weights.pth", old)
    assert_close(load(SMALL, weights=path, digest=digest).net(images()), penultimate(net, images()))


def test_a_backbone_is_frozen_and_in_eval_mode(random_backbone: Backbone) -> None:
    assert not any(module.training for module in random_backbone.net.modules())
    assert not any(parameter.requires_grad for parameter in random_backbone.net.parameters())


def test_extraction_leaves_the_state_bit_identical(random_backbone: Backbone) -> None:
    before = {key: value.clone() for key, value in random_backbone.net.state_dict().items()}
    random_backbone.net(images())
    after = random_backbone.net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_statistics_are_finite_and_tell_images_apart(random_backbone: Backbone) -> None:
    statistics = [value for key, value in random_backbone.net.state_dict().items() if "running" in key]
    assert len(statistics) == 20
    assert all(torch.isfinite(value).all() for value in statistics)
    assert not any(torch.equal(value, torch.ones_like(value)) for value in statistics)
    features = random_backbone.net(images())
    assert (features[0] - features[1]).norm() > 0.05 * features[0].norm()


def test_statistics_bring_what_passes_through_the_layers_to_scale(random_backbone: Backbone) -> None:
    seen: list[torch.Tensor] = []
    norms = [layer for layer in random_backbone.net.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [layer.register_forward_hook(lambda _l, _i, output: seen.append(output)) for layer in norms]
    random_backbone.net(torch.from_numpy(dead_leaves(48, size_px=SIZE, seed=99)))
    for handle in handles:
        handle.remove()
    assert len(seen) == len(norms)
    assert all(0.2 < float(output.std()) < 5 for output in seen)


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
        kept = value.clone()
        value.mul_(1.001)
        digests.add(backbones.state_digest(random_backbone.net))
        value.copy_(kept)
    assert len(digests) == 3
    assert backbones.state_digest(random_backbone.net) == random_backbone.digest


def test_the_global_generators_are_left_alone(tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", classifier(SMALL).state_dict())
    np.random.seed(3)  # noqa: NPY002
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load(SMALL)
    load(SMALL, weights=path, digest=digest)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()  # noqa: NPY002


def test_drawn_images_depend_on_the_seed_alone_and_have_structure() -> None:
    one, again, other = (dead_leaves(4, size_px=48, seed=seed) for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()
    assert (one.shape, one.dtype) == ((4, 48, 48, 3), np.uint8)
    neighbors = np.corrcoef(one[:, :, 1:].ravel(), one[:, :, :-1].ravel())[0, 1]
    assert 0.5 < neighbors < 0.999
    assert (one == 0).mean() < 0.1  # discs cover all of an image


def test_the_backbones_on_offer_are_torchvision_s_classifiers() -> None:
    assert {"resnet50", "mobilenet_v2", "vit_b_16"} <= set(backbones.architectures())
    assert not [name for name in backbones.architectures() if "rcnn" in name or "quantized" in name or "fcn" in name]


def test_an_unknown_architecture_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(WeightsError, match=r"no classifier 'resnet49'; it has: alexnet, .*resnet50"):
        load("resnet49")


@pytest.mark.parametrize("name", ["inception_v3", "vit_b_32"])
def test_images_of_a_size_that_does_not_fit_are_an_error(name: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"{name} takes no images of 64 x 64 pixels \(.+\); change extract\.size_px"
    ):
        load(name)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights file .*nowhere\.pth is missing"):
        load(SMALL, weights=tmp_path / "nowhere.pth", digest="0" * 64)


def test_a_wrong_digest_is_an_error_that_names_both(tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", {})
    with pytest.raises(WeightsError, match=rf"weights\.pth has sha256 {digest}, not {'0' * 64}: it is damaged"):
        load(SMALL, weights=path, digest="0" * 64)


def cut(path: Path) -> None:
    torch.save(classifier(SMALL).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("these are no weights\n"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_bytes(b"\x80\x02}q\x00("),
        lambda path: path.write_bytes(b"PK\x03\x04 and then nothing"),
        lambda path: path.write_bytes(pickle.dumps(Path("an object"), protocol=2)),
        lambda path: torch.save(nn.Linear(2, 2), path),
        cut,
    ],
    ids=["text", "empty", "bytes", "cut pickle", "cut zip", "pickled object", "whole module", "cut"],
)
def test_a_file_that_is_no_state_dict_is_an_error_that_names_it(write: Callable, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=r"weights\.pth is not a state dict that torch can read safely: .+"):
        load(SMALL, weights=path, digest=digest)


@pytest.mark.parametrize("value", [{"state_dict": {"a": torch.zeros(1)}}, [torch.zeros(1)], {1: torch.zeros(1)}])
def test_a_file_that_holds_something_else_than_names_and_tensors_is_an_error(value: object, tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", value)
    with pytest.raises(WeightsError, match=r"weights\.pth must hold a plain state dict"):
        load(SMALL, weights=path, digest=digest)


@pytest.mark.parametrize("state", [{}, {"fc.weight": torch.zeros(1)}])
def test_a_state_without_the_layers_is_an_error(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", state)
    with pytest.raises(WeightsError, match=r"hold weights of shufflenet\w+: \d+ tensors are missing \(first: \['conv1"):
        load(SMALL, weights=path, digest=digest)


def test_weights_of_another_architecture_are_an_error(tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", classifier("squeezenet1_1").state_dict())
    with pytest.raises(
        WeightsError,
        match=rf"hold weights of {SMALL}: \d+ tensors are missing .*, 52 are of something else .*features\.0",
    ):
        load(SMALL, weights=path, digest=digest)


def test_weights_of_another_width_are_an_error(tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", classifier("shufflenet_v2_x1_0").state_dict())
    with pytest.raises(WeightsError, match=rf"weights\.pth does not hold weights of {SMALL}: size mismatch for conv5"):
        load(SMALL, weights=path, digest=digest)


def test_a_file_of_mnasnet_without_its_version_is_an_error(tmp_path: Path) -> None:
    path, digest = saved(tmp_path / "weights.pth", dict(classifier("mnasnet0_5").state_dict()))
    with pytest.raises(WeightsError, match="does not hold weights of mnasnet0_5: version should be"):
        load("mnasnet0_5", weights=path, digest=digest)


def test_an_unknown_name_of_weights_is_an_error_that_lists_torchvision_s() -> None:
    with pytest.raises(
        WeightsError,
        match=r"mobilenet_v2 has no weights 'imagenet'; torchvision has IMAGENET1K_V1, IMAGENET1K_V2; .*sha256",
    ):
        load("mobilenet_v2", weights="imagenet")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache of downloads, empty, and a network that refuses."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub" / "checkpoints"


def test_without_a_network_the_message_names_the_file_and_the_cache(cache: Path) -> None:
    with pytest.raises(
        WeightsError,
        match=rf"download mobilenet_v2 IMAGENET1K_V1 \(.*refused.*put the file mobilenet_v2-b0353104\.pth .*{cache}",
    ):
        load("mobilenet_v2", weights="IMAGENET1K_V1")
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_an_error_that_names_it(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "mobilenet_v2-b0353104.pth").write_bytes(b"half of a download")
    with pytest.raises(
        WeightsError,
        match=rf"{cache}/mobilenet_v2-b0353104\.pth has sha256 \w+, not b0353104: it is damaged .*delete it",
    ):
        load("mobilenet_v2", weights="IMAGENET1K_V1")


def test_the_statistics_of_random_weights_move_as_torchvision_s_do_when_they_are_trained() -> None:
    net = backbones.load_backbone("shufflenet_v2_x0_5", weights="random", sha256=None, seed=0, size_px=32).net
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {layer.momentum for layer in norms} == {0.1}
    assert all(int(layer.num_batches_tracked) > 0 for layer in norms)
