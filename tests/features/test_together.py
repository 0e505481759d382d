"""Engines over the same pixels: their features side by side, and of the pixels no more held than they need."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from tandem.features.engines.base import Engine
from tandem.features.engines.together import run_together


def lagging(name: str, num_behind: int, *, factor: float) -> Engine:
    """An engine of mean colors that gives features only when so many batches more have come, as those in flight do."""

    def embed(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        waiting = list[np.ndarray]()
        for pixels in batches:
            waiting.append(factor * pixels.astype(np.float32).mean((1, 2)))
            if len(waiting) > num_behind:
                yield waiting.pop(0)
        yield from waiting

    return Engine(name, embed)


def batches(sizes: list[int]) -> list[np.ndarray]:
    return [np.random.default_rng(n).integers(0, 256, (size, 4, 4, 3), np.uint8) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [[], [3], [4, 4, 4, 1]])
@pytest.mark.parametrize("behind", [(0, 0), (0, 3), (2, 0)])
def test_features_are_those_of_each_engine_alone_side_by_side(sizes: list[int], behind: tuple[int, int]) -> None:
    engines = [lagging("one", behind[0], factor=1), lagging("two", behind[1], factor=2)]
    together = list(run_together(engines).embed(batches(sizes)))
    alone = [np.concatenate([np.empty((0, 3)), *engine.embed(batches(sizes))]) for engine in engines]
    assert np.array_equal(np.concatenate([np.empty((0, 6)), *together]), np.concatenate(alone, axis=1))


def test_an_engine_that_lags_behind_does_not_let_the_others_run_away() -> None:
    taken = list[int]()

    def source() -> Iterator[np.ndarray]:
        for number, batch in enumerate(batches([2] * 50)):
            taken.append(number)
            yield batch

    features = run_together([lagging("one", 0, factor=1), lagging("two", 3, factor=2)]).embed(source())
    next(features)
    assert len(taken) == 4


def test_it_is_named_after_its_engines_each_once() -> None:
    names = ("openvino bf16", "torch float32", "openvino bf16")
    assert run_together([lagging(name, 0, factor=1) for name in names]).name == "openvino bf16, torch float32"
