"""Every way in which weights can be wrong, and the old files that are right."""

import argparse
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from networks import SMALL, assert_close, classifier, file_weights, load, penultimate, saved
from networks import smooth_images as images
from tandem.errors import WeightsError
from tandem.features.backbones.weights import fill, load_state_dict, strip_prefix
from tandem.features.backbones.weights_file import require_weights_file
from tandem.features.settings import BackboneSettings
from tandem.files import first_line


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    torch.save({"weights": torch.arange(3), "epoch": 2, "curve": [{"loss": 0.5}]}, tmp_path / "state.pt")
    state = load_state_dict(tmp_path / "state.pt")
    assert torch.equal(state.pop("weights"), torch.arange(3))
    assert state == {"epoch": 2, "curve": [{"loss": 0.5}]}


@pytest.mark.parametrize(("error", "line"), [(ValueError("one\ntwo"), "one"), (EOFError(), "EOFError")])
def test_an_error_is_told_in_its_first_line_or_by_its_name(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_a_fine_tuned_classifier_with_other_classes_loads(tmp_path: Path) -> None:
    net = classifier(SMALL, num_classes=3)
    weights = saved(tmp_path / "weights.pth", net.state_dict())
    assert_close(load(SMALL, weights).net(images()), penultimate(net, images()))


def test_files_with_the_old_names_of_vision_transformers_load() -> None:
    net, other = (
        models.VisionTransformer(image_size=32, patch_size=16, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8)
        for _ in range(2)
    )
    state = net.state_dict()
    new_names = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
    old = {re.sub(r"mlp\.[03]\.", lambda match: new_names[match[0]], key): value for key, value in state.items()}
    assert old.keys() != state.keys()
    fill(other, old, last_layer="heads.head", described="a file")
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items() if "heads" not in key)


def test_files_from_before_num_batches_tracked_load(tmp_path: Path) -> None:
    net = classifier(SMALL)
    old = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    weights = saved(tmp_path / "weights.pth", old)
    assert_close(load(SMALL, weights).net(images()), penultimate(net, images()))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights file .*nowhere\.pth is missing; correct the path or download"):
        load(SMALL, BackboneSettings(weights=str(tmp_path / "nowhere.pth"), sha256="0" * 64))


def test_a_wrong_digest_is_an_error_that_names_both(tmp_path: Path) -> None:
    weights = saved(tmp_path / "weights.pth", {})
    wrong = BackboneSettings(weights=weights.weights, sha256="0" * 64)
    with pytest.raises(
        WeightsError, match=rf"weights\.pth has sha256 {weights.sha256}, not {'0' * 64}: it is damaged .*download"
    ):
        load(SMALL, wrong)


def cut(path: Path) -> None:
    torch.save(classifier(SMALL).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("these are no weights\n"),
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_bytes(b"\x80\x02}q\x00("),
        lambda path: path.write_bytes(b"PK\x03\x04 and then nothing"),
        lambda path: path.write_bytes(pickle.dumps({"a": [1] * 9}, protocol=4)),
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
        cut,
    ],
    ids=["text", "bytes", "cut pickle", "cut zip", "newer pickle", "hdf", "cut"],
)
def test_a_file_that_is_no_state_dict_is_an_error_that_names_it(write: Callable, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(
        WeightsError, match=r"weights\.pth is not a state dict that torch can read safely \(.+\); save net\.state_dict"
    ):
        load(SMALL, file_weights(path))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([torch.zeros(1)], "a list"),
        (torch.zeros(1), "a Tensor"),
        ({1: torch.zeros(1)}, "the keys 1"),
        ({"epoch": 3, "lr": 0.1}, "the keys epoch, lr"),
        ({"a": torch.zeros(2), "epoch": 3}, "the keys a, epoch"),
        ({"model": {"a": torch.zeros(1)}, "ema": {"a": torch.zeros(1)}}, r"2 state dicts \(model, ema\)"),
    ],
)
def test_a_file_that_holds_something_else_than_names_and_tensors_is_an_error(
    value: object, found: str, tmp_path: Path
) -> None:
    with pytest.raises(
        WeightsError, match=rf"weights\.pth holds {found}, not a plain state dict .*; save net\.state_dict"
    ):
        load(SMALL, saved(tmp_path / "weights.pth", value))


class RunsCode:
    """Its pickle makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("write", "class_name"),
    [
        (lambda path: torch.save(nn.Linear(2, 2), path), r"torch\.nn\.modules\.linear\.Linear"),
        (lambda path: torch.save({"epoch": 1, "model": classifier(SMALL)}, path), r"torchvision\.\S+ShuffleNetV2"),
        (lambda path: torch.save({"args": argparse.Namespace(lr=1)}, path), r"argparse\.Namespace"),
        (lambda path: torch.save(RunsCode(path.with_name("ran")), path), r"\S+"),
    ],
    ids=["module", "model of a checkpoint", "arguments of a checkpoint", "code"],
)
def test_a_pickled_object_is_told_by_its_class_and_never_built(
    write: Callable, class_name: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(WeightsError) as caught:
        load(SMALL, file_weights(path))
    assert re.search(rf"holds a pickled object of {class_name}, such as a whole model; .* any code", str(caught.value))
    assert str(caught.value).endswith("Load it where it was made; save net.state_dict() by torch.save")
    assert not re.search("\x1b|weights_only|\n", str(caught.value))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {"epoch": 7, "state_dict": state, "optimizer": {"lr": 0.1, "state": {}}},
        lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}, "hyper": {"lr": 0.1}},
        lambda state: {"model": state, "optimizer": {"state": {0: {"step": torch.zeros(1)}}, "param_groups": []}},
    ],
    ids=["DataParallel", "compiled", "checkpoint", "Lightning", "model"],
)
def test_what_wrappers_and_checkpoints_put_around_a_state_is_taken_off(wrap: Callable, tmp_path: Path) -> None:
    net = classifier(SMALL)
    weights = saved(tmp_path / "weights.pth", wrap(net.state_dict()))
    assert_close(load(SMALL, weights).net(images()), penultimate(net, images()))


def test_a_prefix_is_taken_off_only_where_all_names_have_it_and_the_network_has_none_of_them() -> None:
    for state, names in (({"a.x": 1, "b.x": 2}, {"x"}), ({"a.x": 1, "a.y": 2}, {"a.x"}), ({"a": 1}, {"b"})):
        before = dict(state)
        strip_prefix(state, names)  # type: ignore[arg-type]
        assert state == before


def test_safetensors_are_read_and_others_under_that_name_refused(tmp_path: Path) -> None:
    net, path = classifier(SMALL), tmp_path / "weights.safetensors"
    save_file(net.state_dict(), path)
    assert_close(load(SMALL, file_weights(path)).net(images()), penultimate(net, images()))
    path.write_bytes(b"no such file" * 9)
    with pytest.raises(WeightsError, match=r"weights\.safetensors is not a state dict that torch can read safely"):
        load(SMALL, file_weights(path))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS; run `git lfs pull`"),
        (b"", "is empty; download it again"),
    ],
)
def test_a_file_that_is_no_weights_yet_says_how_to_get_them(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=rf"the weights file .*w\.pth {words}"):
        require_weights_file(tmp_path / "w.pth", digest="0" * 64)


def test_a_folder_of_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder; name the file in it that torch"):
        require_weights_file(tmp_path, digest="")


@pytest.mark.parametrize("state", [{}, {"fc.weight": torch.zeros(1)}])
def test_a_state_without_the_layers_is_an_error(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"hold weights of shufflenet\w+: \d+ tensors are missing \(first: \['conv1"):
        load(SMALL, saved(tmp_path / "weights.pth", state))


def test_weights_of_another_architecture_are_an_error(tmp_path: Path) -> None:
    weights = saved(tmp_path / "weights.pth", classifier("squeezenet1_1").state_dict())
    with pytest.raises(
        WeightsError,
        match=rf"hold weights of {SMALL}: \d+ tensors are missing .*, 52 are of something else .*features\.0.*; name",
    ):
        load(SMALL, weights)


def test_weights_of_another_width_are_an_error(tmp_path: Path) -> None:
    weights = saved(tmp_path / "weights.pth", classifier("shufflenet_v2_x1_0").state_dict())
    with pytest.raises(
        WeightsError,
        match=rf"weights\.pth does not hold weights of {SMALL}: size mismatch for conv5.*[^.]; name the architecture",
    ):
        load(SMALL, weights)


def test_a_file_of_mnasnet_without_its_version_is_an_error(tmp_path: Path) -> None:
    weights = saved(tmp_path / "weights.pth", dict(classifier("mnasnet0_5").state_dict()))
    with pytest.raises(WeightsError, match="does not hold weights of mnasnet0_5: version should be"):
        load("mnasnet0_5", weights)


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
        load("mobilenet_v2", "IMAGENET1K_V1")
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_an_error_that_names_it(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "mobilenet_v2-b0353104.pth").write_bytes(b"half of a download")
    with pytest.raises(
        WeightsError,
        match=rf"{cache}/mobilenet_v2-b0353104\.pth has sha256 \w+, not b0353104: it is damaged .*delete it",
    ):
        load("mobilenet_v2", "IMAGENET1K_V1")
