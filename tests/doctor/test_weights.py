"""Weights that a provider has a name for: there, or how large the download is."""

import subprocess
import sys

from tandem.doctor.weights import checkpoints_dir, hub_dir, judge_weights, look_for_weights
from tandem.features.settings import BackboneSettings

NAMED = BackboneSettings("IMAGENET1K_V1")
BACKBONES = {
    "mobilenet_v2": NAMED,
    "mine": BackboneSettings("IMAGENET1K_V1", architecture="squeezenet1_1"),
    "resnet18": BackboneSettings("random"),
    "resnet50": BackboneSettings("net.pth", sha256="0" * 64),
}


def test_weights_that_are_not_there_are_a_download_of_a_known_size(tmp_path):
    found = look_for_weights(BACKBONES, {"TORCH_HOME": str(tmp_path)})
    assert {each.backbone: each.path.name for each in found} == {
        "mobilenet_v2": "mobilenet_v2-b0353104.pth",
        "mine": "squeezenet1_1-b8a52dc0.pth",
    }
    (finding,) = judge_weights(found)
    assert finding.level == "note"
    assert f"those of mobilenet_v2, mine are downloaded to {tmp_path / 'hub/checkpoints'} (19 MB)" in finding.text


def test_weights_that_are_there_are_told_with_their_place(tmp_path):
    backbones = {"mobilenet_v2": NAMED}
    (found,) = look_for_weights(backbones, {"TORCH_HOME": str(tmp_path)})
    found.path.parent.mkdir(parents=True)
    found.path.touch()
    (finding,) = judge_weights(look_for_weights(backbones, {"TORCH_HOME": str(tmp_path)}))
    assert (finding.level, finding.text) == ("ok", f"those of mobilenet_v2 are in {tmp_path / 'hub/checkpoints'}")


def test_without_named_weights_nothing_is_downloaded():
    (finding,) = judge_weights(look_for_weights({"resnet18": BackboneSettings("random")}, {}))
    assert (finding.level, finding.text) == ("ok", "no backbone needs a download")


def test_the_folder_is_that_of_torch(monkeypatch, tmp_path):
    import torch

    for environ in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}, {}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert str(checkpoints_dir(environ).parent) == torch.hub.get_dir()


def test_weights_of_timm_are_looked_for_where_the_hub_s_client_keeps_them(tmp_path):
    backbones = {"mine": BackboneSettings("in1k", architecture="tf_efficientnet_lite0", provider="timm")}
    environ = {"HF_HOME": str(tmp_path)}
    (finding,) = judge_weights(look_for_weights(backbones, environ))
    assert finding.text == f"those of mine are downloaded to {tmp_path / 'hub'}"
    folder = tmp_path / "hub/models--timm--tf_efficientnet_lite0.in1k/snapshots/c0ffee"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    (finding,) = judge_weights(look_for_weights(backbones, environ))
    assert (finding.level, finding.text) == ("ok", f"those of mine are in {tmp_path / 'hub'}")


def test_the_hub_s_folder_is_that_of_its_client(tmp_path):
    for environ in ({"HF_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}, {"HF_HUB_CACHE": str(tmp_path)}):
        code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
        assert str(hub_dir(environ)) == done.stdout.strip()
