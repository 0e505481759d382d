"""Maps of what a prediction rests on: where a model looks, and nowhere else."""

import sys

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from tandem.errors import DataError
from tandem.inference.explanation.explain import explanation_map
from tandem.inference.export import write_model
from tandem.inference.exported import load_exported
from tandem.training.linear import Linear
from toy_model import CARD, colors_model, pooled_model

RED, GREEN = 0, 1
SEEN = np.zeros((16, 16))
SEEN[:4, 8:] = 1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """It looks at the right half of the upper rows alone, and has no feature map."""
    path = tmp_path_factory.mktemp("explained") / "model.onnx"
    write_model(colors_model(num_views=2, seen=SEEN), CARD, path)
    return load_exported(path)


def noise(*, red):
    """(16, 16, 3) uint8 of any colors, where the model looks with so much of red."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    pixels[SEEN > 0] = (red, 40, 40)
    return pixels


def log_odds(model, pixels, target):
    prob = float(model.probs(np.stack([pixels] * 2))[0, target])
    return np.log(prob / (1 - prob))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """Two backbones whose feature maps are pooled, and a head on both; its filters and weights."""
    rng = np.random.default_rng(1)
    filters = {"wide": rng.normal(0, 0.01, (5, 3, 4, 4)), "narrow": rng.normal(0, 0.01, (2, 3, 4, 4))}
    head = Linear(np.zeros(7), np.ones(7), rng.normal(size=(3, 7)), np.zeros(3))
    path = tmp_path_factory.mktemp("pooled") / "model.onnx"
    write_model(pooled_model(filters, head, num_views=2), CARD, path)
    return load_exported(path), filters, head


def cells_of(pixels, filters):
    """(4, 4, channels): the feature map by hand."""
    patches = pixels.astype(float).reshape(4, 4, 4, 4, 3)  # row, y, column, x, color
    return np.einsum("rycxk,fkyx->rcf", patches, filters).clip(0)


def test_a_class_activation_map_is_what_the_log_odds_lose_without_each_cell_added_over_the_backbones(pooled):
    model, filters, head = pooled
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    maps = {name: cells_of(pixels, each) for name, each in filters.items()}

    def odds(maps):
        features = np.concatenate([each.mean(axis=(0, 1)) for each in maps.values()])
        weights = np.exp(head.weight @ features)
        return np.log(weights[GREEN]) - np.log(weights.sum() - weights[GREEN])

    expected = np.zeros((16, 16))
    for name, cells in maps.items():
        lost = np.zeros((4, 4), dtype=np.float32)
        for row in range(4):
            for column in range(4):
                left = cells.copy()
                left[row, column] = 0
                lost[row, column] = odds(maps) - odds({**maps, name: left})
        expected += np.asarray(Image.fromarray(lost).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.abs(expected).max() > 0.01
    assert explanation_map(model, pixels, GREEN) == pytest.approx(expected, abs=1e-5)


def test_with_other_weights_the_same_image_has_another_class_activation_map(pooled, tmp_path):
    """A check of sanity by Adebayo and others, 2018, which test_export.py makes of occlusion."""
    model, filters, head = pooled
    rng = np.random.default_rng(2)
    shuffled = {name: rng.permutation(each.ravel()).reshape(each.shape) for name, each in filters.items()}
    other_head = Linear(head.mean, head.std, rng.permutation(head.weight.ravel()).reshape(head.weight.shape), head.bias)
    write_model(pooled_model(shuffled, other_head, num_views=2), CARD, tmp_path / "model.onnx")
    other, agreement = load_exported(tmp_path / "model.onnx"), []
    for _ in range(20):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        first, again, changed = (explanation_map(each, pixels, RED).ravel() for each in (model, model, other))
        assert np.array_equal(first, again)
        agreement.append(spearmanr(first, changed).statistic)
    assert np.abs(agreement).mean() < 0.5


def test_the_class_activation_map_of_a_model_is_bright_where_the_class_is_and_dark_for_another(pooled, tmp_path):
    bright = {"net": np.stack([np.full((3, 4, 4), 0.01), np.zeros((3, 4, 4))])}  # one channel sees light, one nothing
    head = Linear(np.zeros(2), np.ones(2), np.array([[1, 0], [-1, 0], [0, 0.0]]), np.zeros(3))
    write_model(pooled_model(bright, head, num_views=2), CARD, tmp_path / "model.onnx")
    model, pixels = load_exported(tmp_path / "model.onnx"), np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[8:12, :4] = 255
    red, green = (explanation_map(model, pixels, target) for target in (RED, GREEN))
    assert red[9:11, 1:3].min() > 0.05 > -0.05 > green[9:11, 1:3].max()
    assert np.abs(red[:5]).max() < 1e-5


def test_hiding_what_a_model_looks_at_is_all_that_counts(model):
    found = explanation_map(model, noise(red=250), RED)
    assert (found.shape, found.dtype) == ((16, 16), np.float32)
    assert found[:4, 8:].min() > 0
    assert np.abs(found[8:]).max() < 1e-5 > np.abs(found[:, :5]).max()


def test_each_part_counts_what_the_log_odds_lose_by_hiding_it_on_average(model):
    pixels = noise(red=250)
    lost, times = np.zeros((16, 16)), np.zeros((16, 16))
    for top in range(14):
        for left in range(14):  # windows of a fifth of 16 px, a tenth apart
            hidden = pixels.copy()
            hidden[top : top + 3, left : left + 3] = pixels.mean(axis=(0, 1)).round()
            lost[top : top + 3, left : left + 3] += log_odds(model, pixels, RED) - log_odds(model, hidden, RED)
            times[top : top + 3, left : left + 3] += 1
    assert explanation_map(model, pixels, RED) == pytest.approx(lost / times, abs=1e-4)


def test_what_speaks_for_one_class_speaks_against_another(model):
    red, green = (explanation_map(model, noise(red=250), target) for target in (RED, GREEN))
    assert red[:4, 8:].min() > 0 > green[:4, 8:].max()


def test_a_missing_library_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(DataError, match=r"an explanation needs Captum and torch, and .* lacks one of them"):
        explanation_map(model, noise(red=250), RED)
