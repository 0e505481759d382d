"""Weights that torchvision has a name for: there, or how large the download is."""

from tandem.doctor.weights import checkpoints_dir, judge_weights, look_for_weights
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
