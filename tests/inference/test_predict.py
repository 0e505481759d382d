"""Predictions for files: in their order, and past those that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tandem.images.scaling import scale_by_torch
from tandem.images.transforms import load_transformed
from tandem.inference.exported import load_exported
from tandem.inference.predict import predict_files

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


def test_the_pixels_are_those_of_the_one_transform(exported, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    model = load_exported(exported)
    pixels = load_transformed(
        (tmp_path / "noise.png").read_bytes(), size_px=16, resize="squash", tta_views=2, scale=scale_by_torch
    )
    [found] = predict_files([tmp_path / "noise.png"], model, batch_size=4, workers=1)
    assert found.probs.tobytes() == model.probs(pixels)[0].tobytes()
