"""Backbones as graphs: the same features as torch in fp32, and the same bytes each time. Covers converted.py."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from factories import extract_settings
from tandem.errors import DataError
from tandem.features.backbones.backbone import Backbone, load_backbone
from tandem.features.settings import RANDOM, BackboneSettings
from tandem.files import write_json
from tandem.inference.convert import onnx_engine, to_onnx, trained_backbone
from tandem.inference.converted import (
    feature_dim,
    largest_difference,
    load_converted,
    load_test_features,
    save_converted,
)

SIZE_PX = 64
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def features_of_both(backbone):
    data = to_onnx(backbone, size_px=SIZE_PX)
    [features] = onnx_engine(data, threads=1, batch_size=3).embed([PIXELS])
    with torch.inference_mode():
        return data, features, backbone.net(torch.from_numpy(PIXELS)).numpy()


# Of whole networks of all families benchmarks/predict.py says the same figure; to convert them takes minutes.
def test_the_features_are_those_of_torch():
    backbone = load_backbone("resnet18", BackboneSettings(RANDOM), seed=0, size_px=SIZE_PX, early_exit=False)
    _, features, reference = features_of_both(backbone)
    assert features.shape == (3, backbone.dim)
    assert largest_difference(features, reference) < 1e-4


# Of different operators, and cheap to convert: their first layers, which random weights are taken of, are small.
FAMILIES = ("mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t")


class SideBySide(nn.Module):
    """The features of several backbones: to convert them together takes a third of the time."""

    def __init__(self, backbones):
        super().__init__()
        self.nets = nn.ModuleList(backbone.net for backbone in backbones)

    def forward(self, pixels):
        return torch.cat([net(pixels) for net in self.nets], dim=1)


@pytest.mark.slow
def test_the_features_of_several_families_are_those_of_torch():
    backbones = [load_backbone(name, BackboneSettings(RANDOM), seed=0, size_px=SIZE_PX) for name in FAMILIES]
    dims = [backbone.dim for backbone in backbones]
    _, features, reference = features_of_both(Backbone("all", SideBySide(backbones), sum(dims), ""))
    ends = np.cumsum(dims)[:-1]
    both = zip(np.split(features, ends, axis=1), np.split(reference, ends, axis=1), strict=True)
    differences = dict(zip(FAMILIES, (largest_difference(one, other) for one, other in both), strict=True))
    assert max(differences.values()) < 1e-5, differences


def test_a_graph_has_the_same_bytes_each_time_and_says_nothing_of_this_machine(capfd):
    backbone = load_backbone("squeezenet1_1", BackboneSettings(RANDOM), seed=0, size_px=SIZE_PX)
    data, features, reference = features_of_both(backbone)
    assert largest_difference(features, reference) < 1e-5
    assert to_onnx(backbone, size_px=SIZE_PX) == data
    assert b"site-packages" not in data
    assert b"tandem/" not in data
    assert capfd.readouterr() == ("", "")


def test_what_is_saved_comes_back(tmp_path):
    node = onnx.helper.make_node("Identity", ["pixels"], ["features"])
    data = onnx.helper.make_model(onnx.helper.make_graph([node], "net", [], [])).SerializeToString()
    features, reference = np.ones((2, 1, 7), np.float32), np.zeros((2, 1, 7), np.float32)
    save_converted(data, tmp_path / "net", features=features, reference=reference, meta={"backbone": "net"})
    found = load_converted(tmp_path / "net")
    assert feature_dim(tmp_path / "net") == 7
    assert (found.dim, found.meta["backbone"], found.model.SerializeToString()) == (7, "net", data)
    for one, other in zip(load_test_features(tmp_path / "net"), (features, reference), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_weights_than_those_of_the_features_are_refused(tmp_path):
    write_json(tmp_path / "meta.json", {"weights_sha256": "0" * 64})
    with pytest.raises(DataError, match=r"the weights of squeezenet1_1 have digest \w+, and .* holds features of 0000"):
        trained_backbone("squeezenet1_1", BackboneSettings(RANDOM), extract_settings(size_px=SIZE_PX), folder=tmp_path)
