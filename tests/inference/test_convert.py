"""Backbones as graphs: the same features as torch in fp32, and the same bytes each time. Covers converted.py."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from factories import extract_settings
from tandem.errors import DataError
from tandem.features.backbones.backbone import Backbone, FeatureExtractor, load_backbone, state_digest
from tandem.features.engines.openvino import graph_engine, has_openvino, openvino_engine
from tandem.features.settings import RANDOM, BackboneSettings
from tandem.files import write_json
from tandem.inference.convert import TrainedBackbone, convert, graph_of, onnx_engine, to_onnx, trained_backbone
from tandem.inference.converted import (
    feature_dim,
    largest_difference,
    load_converted,
    load_test_features,
    save_converted,
)
from tandem.inference.exported import PIXELS as PIXELS_IN
from tandem.inference.graph import Graph, GraphOutput
from tandem.state_files import save_state
from tandem.types import Interpolation

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


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_a_network_that_scales_images_down_does_so_alike_by_every_engine(interpolation):
    net = FeatureExtractor(nn.Flatten(), mean=(0, 0, 0), std=(1, 1, 1), size_px=48, interpolation=interpolation).eval()
    data = to_onnx(Backbone("scaled", net, 3 * 48 * 48, ""), size_px=SIZE_PX)
    engines = [onnx_engine(data, threads=1, batch_size=3)]
    if has_openvino():
        engines.append(graph_engine(data, size_px=SIZE_PX, tta_views=1))  # that of tandem predict --fast
        engines.append(openvino_engine(net, torch.device("cpu"), size_px=SIZE_PX, batch_size=3))
    expected = net(torch.from_numpy(PIXELS)).numpy()
    for engine in engines:
        found = np.concatenate(list(engine.embed([PIXELS])))
        assert np.abs(found - expected).max() < 0.01, engine.name  # of 0 to 1, in bf16


def test_passes_of_a_graph_are_of_one_size_whatever_the_batches():
    graph = Graph()
    means = graph.add(
        "ReduceMean", graph.add("Cast", PIXELS_IN, to=onnx.TensorProto.FLOAT), np.array([1, 2]), keepdims=0
    )
    num_images = graph.add(
        "Cast", graph.add("Gather", graph.add("Shape", PIXELS_IN), np.array(0)), to=onnx.TensorProto.FLOAT
    )
    images = onnx.helper.make_tensor_value_info(PIXELS_IN, onnx.TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])
    model = graph.model([images], GraphOutput("features", graph.add("Add", means, num_images)))
    engine = onnx_engine(model.SerializeToString(), threads=1, batch_size=8)
    parts = list(engine.embed([PIXELS, PIXELS[:1]]))
    assert [len(part) for part in parts] == [3, 1]
    assert np.allclose(np.concatenate(parts), 8 + np.concatenate([PIXELS, PIXELS[:1]]).mean((1, 2)), rtol=1e-5)


class Means(nn.Module):
    """A network that is quick to convert."""

    def forward(self, pixels):
        return pixels.float().mean((1, 2))


def test_test_images_that_went_through_both_networks_before_do_not_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE_DIR", str(tmp_path))
    loaded = []

    def load():
        loaded.append("means")
        return Backbone("means", Means(), 3, "ab")

    images = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(images):
        Image.fromarray(PIXELS[number % 3, number:]).save(path)

    def converted(folder, rows):
        done = convert(
            TrainedBackbone("means", "ab", {"architecture": "means"}, load),
            [images[row] for row in rows],
            tmp_path / folder,
            ids=[str(row) for row in rows],
            settings=extract_settings(),
            device="cpu",
            batch_size=4,
            workers=1,
            max_gb=0 if folder == "from nothing" else 1,
        )
        return done, {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    assert converted("first", [0, 1, 2, 3])[0].num_new == 4
    again, files = converted("again", [4, 1, 3])
    assert files == converted("from nothing", [4, 1, 3])[1]
    assert again.num_new == 1
    assert again.in_words().startswith("features of 3 images, 1 of them new, within ")
    assert len(loaded) == 3
    assert converted("known", [4, 1, 3]) == (replace(again, num_new=0), files)
    assert len(loaded) == 3  # where nothing is missing no network is built


def test_a_graph_is_made_once_for_its_weights_and_again_for_others_or_another_size(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE_DIR", str(tmp_path))
    loaded = []

    def graph(digest, size_px):
        def load():
            loaded.append((digest, size_px))
            return Backbone("means", Means(), 3, digest)

        backbone = TrainedBackbone("means", digest, {}, load)
        return graph_of(backbone, extract_settings(size_px=size_px), max_gb=1)

    first = graph("ab", 32)
    assert onnx.load_model_from_string(first).graph.input[0].name == PIXELS_IN
    assert graph("ab", 32) == first
    assert graph("cd", 32) == first  # of networks without weights
    assert graph("ab", 48) != first
    assert loaded == [("ab", 32), ("cd", 32), ("ab", 48)]


def test_a_graph_that_is_damaged_in_the_cache_is_made_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TANDEM_CACHE_DIR", str(tmp_path))
    backbone = TrainedBackbone("means", "ab", {}, lambda: Backbone("means", Means(), 3, "ab"))
    first = graph_of(backbone, extract_settings(), max_gb=1)
    [path] = tmp_path.rglob("*.sqlite")
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute("UPDATE rows SET data = ?", (first[:-1] + b"?",)).rowcount == 1
    assert graph_of(backbone, extract_settings(), max_gb=1) == first
    assert "damaged in part" in capsys.readouterr().err


def convert_one(backbone, image, folder, settings):
    return convert(
        backbone,
        [image],
        folder,
        ids=["one"],
        settings=settings,
        device="cpu",
        batch_size=1,
        workers=1,
        max_gb=1,
    )


def test_of_two_fine_tunes_of_a_backbone_each_has_features_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE_DIR", str(tmp_path / "cache"))
    weights, settings = BackboneSettings(RANDOM), extract_settings(size_px=SIZE_PX)
    Image.fromarray(PIXELS[0]).save(tmp_path / "one.png")
    found = []
    for factor in (1.0, 1.5):
        net = load_backbone("squeezenet1_1", weights, seed=0, size_px=SIZE_PX, early_exit=False).net
        with torch.no_grad():
            next(net.parameters()).mul_(factor)
        folder = tmp_path / f"tuned {factor}"
        save_state(net.state_dict(), folder / "backbone.pt")
        write_json(folder / "meta.json", {"weights_sha256": state_digest(net)})
        tuned = trained_backbone("squeezenet1_1", weights, settings, folder=folder)
        assert tuned.digest == state_digest(tuned.loaded.net) == tuned.loaded.digest
        done = convert_one(tuned, tmp_path / "one.png", folder / "converted", settings)
        assert done.num_new == 1
        assert done.difference < 1e-4
        found.append(load_test_features(folder / "converted")[1])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_of_two_layers_of_a_backbone_each_has_features_of_its_own(tmp_path, monkeypatch):
    """Their weights are the same: a network that ends earlier is another one all the same."""
    monkeypatch.setenv("TANDEM_CACHE_DIR", str(tmp_path / "cache"))
    settings = extract_settings(size_px=SIZE_PX)
    Image.fromarray(PIXELS[0]).save(tmp_path / "one.png")
    dims = {}
    for layer in ("features.5", "features.10"):
        weights, folder = BackboneSettings(RANDOM, layer=layer), tmp_path / layer
        frozen = load_backbone("squeezenet1_1", weights, seed=0, size_px=SIZE_PX)
        folder.mkdir()
        write_json(folder / "meta.json", {"weights_sha256": frozen.digest})
        backbone = trained_backbone("squeezenet1_1", weights, settings, folder=folder)
        done = convert_one(backbone, tmp_path / "one.png", folder / "converted", settings)
        features, reference = load_test_features(folder / "converted")
        assert features.shape == reference.shape == (1, 1, frozen.dim)
        assert (done.num_new, done.difference < 1e-4) == (1, True)
        dims[layer] = frozen.dim
    assert dims["features.5"] != dims["features.10"]


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
    backbone = trained_backbone(
        "squeezenet1_1", BackboneSettings(RANDOM), extract_settings(size_px=SIZE_PX), folder=tmp_path
    )
    with pytest.raises(DataError, match=r"the weights of squeezenet1_1 have digest \w+, and .* holds features of 0000"):
        graph_of(backbone, extract_settings(size_px=SIZE_PX), max_gb=0)
