import numpy as np
import pytest

from planted_run import SPEED, planted_facts
from tandem.reporting.page.use_view import num_multiply_adds, num_parameters, use_view
from tandem.training.linear import Linear
from toy_model import pooled_model

CHANNELS, CLASSES = 5, 3


@pytest.fixture
def model():
    head = Linear(np.zeros(CHANNELS), np.ones(CHANNELS), np.ones((CLASSES, CHANNELS)), np.zeros(CLASSES))
    return pooled_model({"one": np.ones((CHANNELS, 3, 4, 4), np.float32)}, head, num_views=1)


def test_multiply_adds_are_those_of_convolutions_and_products_of_one_image(model):
    cells = 4 * 4  # of 16 px, by steps of 4
    assert num_multiply_adds(model) == cells * CHANNELS * (3 * 4 * 4) + 2 * CHANNELS * CLASSES  # the OOD score's too


def test_the_weights_are_among_the_numbers_that_are_counted(model):
    assert num_parameters(model) >= CHANNELS * 3 * 4 * 4 + CLASSES * CHANNELS


def test_the_file_is_described_and_held_against_other_ways(tmp_path):
    facts = planted_facts(tmp_path)
    view = use_view(facts, None)
    assert view.speed is None
    rows = {row[0].text: row[1].text for row in view.size.lines}
    assert rows["model.onnx"] == f"{len(facts.exported.data) / 1e3:.1f} kB"
    assert rows["model.safetensors"] == "–"
    assert rows["input"] == "16 × 16 px, squashed, bilinear"
    assert [row[0].text for row in view.parity.lines] == [
        "torch in fp32",
        "the predictions that were scored",
    ]


def test_each_way_to_predict_has_its_time_and_the_machine_is_named(tmp_path):
    table = use_view(planted_facts(tmp_path), SPEED).speed
    assert [[cell.text for cell in line] for line in table.lines] == [
        ["one image after the other", "12.3"],
        ["16 images at a time", "5.0"],
        ["16 images at a time, by --fast", "–"],
    ]
    assert "on a processor, 4 cores" in table.note
    assert "32 test images" in table.note
