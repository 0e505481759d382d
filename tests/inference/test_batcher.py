"""Requests share passes of the model, and each has its own answer."""

import queue
import threading
from dataclasses import replace

import numpy as np
import pytest

from tandem.inference.exported import load_exported
from tandem.inference.serving.batcher import Batcher


class Slow:
    """An engine that counts its passes and waits for leave."""

    name = "slow"

    def __init__(self, engine):
        self.engine, self.sizes, self.leave = engine, [], threading.Event()

    def embed(self, batches):
        for pixels in batches:
            self.leave.wait(10)
            self.sizes.append(len(pixels))
            yield from self.engine.embed([pixels])


@pytest.fixture
def slow(exported):
    model = load_exported(exported)
    return replace(model, engine=Slow(model.engine))


def pixels(color, num_images=1):
    made = np.zeros((2 * num_images, 16, 16, 3), np.uint8)
    made[..., color] = 255
    return made


def test_requests_that_wait_share_a_pass_and_have_their_own_answers(slow):
    batcher = Batcher(slow, max_images=8, max_wait_s=0, max_queued=20)
    first = batcher.submit(pixels(0))
    others = [batcher.submit(pixels(color, num_images)) for color, num_images in ((1, 2), (2, 1), (0, 3))]
    slow.engine.leave.set()
    assert first.result(10).argmax(axis=1).tolist() == [0]
    assert [each.result(10).argmax(axis=1).tolist() for each in others] == [[1, 1], [2], [0, 0, 0]]
    batcher.close()
    assert sum(slow.engine.sizes) == 2 * 7
    assert len(slow.engine.sizes) <= 3


def test_what_waits_is_bounded(slow):
    batcher = Batcher(slow, max_images=1, max_wait_s=0, max_queued=2)
    with pytest.raises(queue.Full):
        for _ in range(5):  # one is computed, two wait
            batcher.submit(pixels(0))
    slow.engine.leave.set()
    batcher.close()


def test_closing_lets_those_who_wait_come_to_their_end(slow):
    batcher = Batcher(slow, max_images=4, max_wait_s=0, max_queued=9)
    waiting = [batcher.submit(pixels(1)) for _ in range(6)]
    slow.engine.leave.set()
    batcher.close()
    assert all(each.done() for each in waiting)
    assert [each.result().argmax() for each in waiting] == [1] * 6


def test_an_error_reaches_those_who_wait_and_ends_nobody_else(exported):
    model = load_exported(exported)
    batcher = Batcher(model, max_images=1, max_wait_s=0, max_queued=9)
    wrong = batcher.submit(np.zeros((2, 5, 5, 3), np.uint8))
    with pytest.raises(Exception, match="pixels"):
        wrong.result(10)
    assert batcher.submit(pixels(2)).result(10).argmax() == 2
    batcher.close()
