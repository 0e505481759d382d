"""The surest mistakes, and where the model looks when it makes them."""

import sys

import numpy as np
import pytest
from PIL import Image

from factories import samples_of
from planted_images import png
from tandem.evaluation.metrics import Predictions
from tandem.inference.export import write_model
from tandem.inference.exported import load_exported
from tandem.reporting.mistakes import explained, worst_mistakes
from toy_model import CARD, colors_model

RED, GREEN, BLUE = CARD.class_names


class Stored:
    """An encoded image in memory."""

    def __init__(self, data):
        self.data = data

    def read_bytes(self):
        return self.data


def found(*, limit=12):
    """Six images of test after one of train; 1, 2 and 4 are predicted wrong, 4 the surest."""
    samples = samples_of([0, 0, 1, 2, 0, 1, 2], ["train", *["test"] * 6], class_names=CARD.class_names)
    predicted = np.array([0, 0, 1, 0, 2, 2])
    probs = np.full((6, 3), 0.05)
    probs[np.arange(6), predicted] = [0.9, 0.7, 0.6, 0.8, 0.95, 0.9]
    predictions = Predictions(samples.test.targets, predicted, probs)
    return worst_mistakes(
        predictions, samples.test, class_names=CARD.class_names, suggested_labels={"005": BLUE}, limit=limit
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """It looks at the left half alone."""
    seen = np.zeros((16, 16))
    seen[:, :8] = 1
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    write_model(colors_model(num_views=2, seen=seen), CARD, path)
    return load_exported(path)


def test_the_surest_mistakes_come_first_with_what_they_are_labelled_as():
    mistakes = found()
    assert mistakes.num_wrong == 3
    assert [(each.id, each.row, each.actual, each.predicted) for each in mistakes.worst] == [
        ("005", 5, GREEN, BLUE),
        ("002", 2, GREEN, RED),
        ("003", 3, BLUE, GREEN),
    ]
    surest = mistakes.worst[0]
    assert (surest.confidence, surest.prob_of_actual, surest.suggested_label) == (0.95, 0.05, BLUE)
    assert mistakes.worst[1].suggested_label == ""


def test_no_more_are_shown_than_the_limit_and_all_are_counted():
    mistakes = found(limit=1)
    assert (len(mistakes.worst), mistakes.num_wrong) == (1, 3)


def test_the_map_is_of_the_predicted_class_where_the_model_looks(exported):
    pixels = np.full((16, 16, 3), 40, np.uint8)
    pixels[:, :, 2] = 220  # blue all over, which the model sees on the left alone
    mistakes = explained(found(limit=1), {"005": Stored(png(Image.fromarray(pixels)))}, exported)
    (surest,) = mistakes.worst
    assert mistakes.without_maps == ""
    assert np.array_equal(surest.view, pixels)
    assert surest.explanation.shape == (16, 16)
    assert np.abs(surest.explanation[:, 10:]).max() < 1e-6


def test_without_an_exported_model_there_are_no_maps_and_it_is_said():
    mistakes = explained(found(), {}, None)
    assert mistakes.without_maps == "no model was exported"
    assert [each.explanation for each in mistakes.worst] == [None] * 3


def test_an_image_that_is_gone_is_named(exported):
    assert explained(found(limit=1), {"005": Stored(b"no image")}, exported).without_maps.startswith(
        "image 005 cannot be read any more: "
    )


def test_what_keeps_captum_from_drawing_is_said(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    images = {"005": Stored(png(Image.new("RGB", (16, 16))))}
    assert "an explanation needs Captum" in explained(found(limit=1), images, exported).without_maps


def test_a_model_without_mistakes_has_none(exported):
    mistakes = explained(found(limit=0), {}, exported)
    assert (mistakes.worst, mistakes.without_maps) == ((), "")
