"""Predictions for files: in their order, and past those that cannot be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tandem.images.scaling import scale_by_torch
from tandem.images.transforms import load_transformed
from tandem.inference.exported import load_exported
from tandem.inference.predict import as_row, predict_files, predicted
from toy_model import CARD

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def paths(tmp_path):
    for name, color in COLORS.items():
        Image.new("RGB", (40, 30), color).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("this is no image")
    (tmp_path / "cut.png").write_bytes((tmp_path / "red.png").read_bytes()[:60])
    return [tmp_path / name for name in ("blue.png", "text.png", "red.png", "none.png", "cut.png", "green.png")]


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_each_file_has_its_prediction_or_the_reason_why_it_has_none(exported, paths, batch_size):
    found = list(predict_files(paths, load_exported(exported), batch_size=batch_size, workers=2))
    assert [each.path for each in found] == list(map(str, paths))
    labels = [None if each.probs is None else list(COLORS)[each.probs.argmax()] for each in found]
    assert labels == ["blue", None, "red", None, None, "green"]
    failures = {Path(each.path).name: each for each in found if each.failure}
    assert failures["none.png"].failure == "No such file or directory"
    assert [failures[name].is_image for name in ("text.png", "none.png", "cut.png")] == [False, True, True]
    assert [failures[name].confidence for name in failures] == [0, 0, 0]


def test_a_row_says_whether_an_image_is_of_none_of_the_classes_and_what_may_be_its_class():
    sure = predicted("a.png", np.array([0.1, 0.85, 0.05, 0.5], np.float32))
    unlike = predicted("b.png", np.array([0.3, 0.2, 0.5, 1.5], np.float32))
    rows = [as_row(each, CARD, top_k=2) for each in (sure, unlike)]
    assert [(row["none_of_these"], row["ood_score"], row["set"]) for row in rows] == [
        (False, 0.5, ["green"]),
        (True, 1.5, ["blue", "red", "green"]),
    ]
    assert [row["probs"] for row in rows] == [
        {"green": pytest.approx(0.85), "red": pytest.approx(0.1)},
        {"blue": pytest.approx(0.5), "red": pytest.approx(0.3)},
    ]
    assert as_row(unlike, replace(CARD, ood_threshold=None), top_k=1)["none_of_these"] is False


def test_a_gray_image_is_of_none_of_the_colors(exported, tmp_path):
    for name, color in {**COLORS, "gray": (90, 90, 90)}.items():
        Image.new("RGB", (40, 30), color).save(tmp_path / f"{name}.png")
    paths = sorted(tmp_path.glob("*.png"))
    found = predict_files(paths, load_exported(exported), batch_size=2, workers=1)
    flagged = [Path(each.path).stem for each in found if as_row(each, CARD, top_k=1)["none_of_these"]]
    assert flagged == ["gray"]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_pixels_are_those_of_the_one_transform(interpolation, exported, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    model = load_exported(exported)
    model = replace(model, card=replace(model.card, interpolation=interpolation))
    transform = {"size_px": 16, "resize": "squash", "interpolation": interpolation, "tta_views": 2}
    pixels = load_transformed((tmp_path / "noise.png").read_bytes(), **transform, scale=scale_by_torch)
    [found] = predict_files([tmp_path / "noise.png"], model, batch_size=4, workers=1)
    assert found.probs.tobytes() == model.probs(pixels)[0].tobytes()
