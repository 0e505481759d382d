"""How long a model takes is measured on images, and is the time of the model that is asked for."""

import time

import numpy as np
import pytest

from planted_images import png, smooth_image
from tandem.features.engines.base import Engine
from tandem.inference.exported import ExportedModel
from tandem.reporting import speed as timing
from tandem.reporting.speed import NUM_IMAGES, measure_speed, processor_name
from toy_model import CARD

PAUSE = 0.02


def slow_model(calls):
    """Each batch takes PAUSE and half a PAUSE more an image."""

    def embed(batches):
        for pixels in batches:
            num_images = len(pixels) // CARD.tta_views
            calls.append(num_images)
            time.sleep(PAUSE + PAUSE / 2 * num_images)
            yield np.full((num_images, 3), 1 / 3, np.float32)

    return ExportedModel(CARD, "ab" * 32, Engine("slow", embed), b"")


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png(smooth_image(0)))
    return [path] * (NUM_IMAGES + 8)


@pytest.fixture
def calls(monkeypatch):
    found = {False: [], True: []}
    monkeypatch.setattr(timing, "load_exported", lambda _, is_fast=False: slow_model(found[is_fast]))
    return found


def test_images_are_timed_one_by_one_and_in_batches(images, calls, monkeypatch):
    monkeypatch.setattr(timing, "has_openvino", lambda: False)
    found = measure_speed(None, images)
    assert found.single >= 1000 * 1.5 * PAUSE
    assert 1000 * PAUSE / 2 <= found.batched < found.single
    assert (found.batched_fast, found.num_images) == (None, NUM_IMAGES)
    assert calls[False] == [1] * (NUM_IMAGES + 1) + [16, 16] * 4


def test_the_fast_way_is_timed_where_it_is_there(images, calls, monkeypatch):
    monkeypatch.setattr(timing, "has_openvino", lambda: True)
    found = measure_speed(None, images[:3])
    assert found.batched_fast >= 1000 * PAUSE / 2
    assert calls[True] == [3] * 4


def test_without_an_image_there_is_nothing_to_measure():
    with pytest.raises(ValueError, match="no image to measure with"):
        measure_speed(None, [])


def test_the_processor_has_the_name_that_the_system_gives_it(tmp_path):
    (tmp_path / "cpuinfo").write_text("vendor_id\t: Acme\nmodel name\t: Acme One: 3 GHz\nflags\t: avx2\n")
    assert processor_name(tmp_path / "cpuinfo") == "Acme One: 3 GHz"
    assert processor_name(tmp_path / "nothing")
