"""Maps of what a prediction rests on: where a model looks, and nowhere else."""

import sys

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.inference.explain import draw_explanation, explanation_map
from tandem.inference.export import write_model
from tandem.inference.exported import load_exported
from toy_model import CARD, colors_model

RED, GREEN = 0, 1
SEEN = np.zeros((16, 16))
SEEN[:4, 8:] = 1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """It looks at the right half of the upper rows alone."""
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


def test_the_image_is_drawn_beside_its_map_which_is_bright_where_it_counts(model):
    pixels = noise(red=250)
    drawn = np.asarray(draw_explanation(pixels, explanation_map(model, pixels, RED)).convert("L"), dtype=float)
    assert drawn.shape == (224, 448)
    beside = drawn[:, 224:]
    assert beside[:40, 126:].mean() > beside[112:].mean() + 40


def test_an_image_of_which_no_part_counts_is_drawn_without_light(model):
    drawn = draw_explanation(noise(red=250), np.full((16, 16), -1, dtype=np.float32))
    assert np.asarray(drawn)[:, 224:].mean() < 70


def test_a_missing_library_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(DataError, match=r"an explanation needs Captum and torch, and .* lacks one of them"):
        explanation_map(model, noise(red=250), RED)
