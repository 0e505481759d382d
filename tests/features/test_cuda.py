"""Features on a CUDA device, and on Apple's, held against a forward pass in fp32, where there is one."""

import numpy as np
import pytest
import torch

from embeddings import cosines, forward, joined
from networks import SIZE_PX, load
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.engines import cuda
from tandem.features.engines.engine import MIN_COSINE, start_engine

HERE = [
    pytest.param(name, marks=pytest.mark.skipif(not is_available, reason=f"torch finds no {name} here"))
    for name, is_available in {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.items()
]


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "swin_t"])
@pytest.mark.parametrize("device", HERE)
def test_a_device_gives_the_features_of_fp32_whatever_the_batches(device: str, name: str) -> None:
    backbone = load(name, early_exit=False)
    pixels = dead_leaves(40, size_px=SIZE_PX, seed=1)
    exact, found = forward(backbone.net, pixels), []
    for batch_size in (8, 8, 3, 64):
        engine = start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=batch_size, device=device)
        found.append(joined(engine.embed(np.split(pixels, range(batch_size, len(pixels), batch_size)))))
    assert engine.name == {"cuda": "torch float16", "mps": "torch float32"}[device]
    assert cosines(found[0], exact).min() >= MIN_COSINE
    assert cosines(np.roll(found[0], 1, axis=0), exact).min() < cosines(found[0], exact).min()
    assert found[0].tobytes() == found[1].tobytes()
    if device == "cuda":  # each pass is of as many images
        assert {other.tobytes() for other in found} == {found[0].tobytes()}
    assert all(np.allclose(other, found[0], rtol=1e-4, atol=1e-5) for other in found)


@pytest.mark.parametrize("device", HERE)
def test_more_passes_than_are_in_flight_keep_their_order(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_FULL_AREA", 4 * SIZE_PX**2)
    backbone = load("resnet18")
    pixels = dead_leaves(66, size_px=SIZE_PX, seed=1)
    exact = forward(backbone.net, pixels)
    engine = start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=7, device=device)
    found = joined(engine.embed(np.split(pixels, range(7, len(pixels), 7))))
    assert (cosines(found, exact) >= MIN_COSINE).all()
    assert found.shape == exact.shape
    assert list(engine.embed([])) == []


@pytest.mark.parametrize("sizes", [[16, 16, 16], [7], [40, 1], [], [8, 2, 8]])
def test_batches_of_any_size_are_taken_together_in_order(sizes: list[int]) -> None:
    numbers = np.arange(sum(sizes))
    found = list(cuda.rebatch(np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else [], 10))
    assert np.array_equal(np.concatenate([numbers[:0], *(part for parts in found for part in parts)]), numbers)
    assert [sum(map(len, parts)) for parts in found[:-1]] == [10] * (len(found) - 1)


def test_a_pass_is_of_as_many_images_as_fill_a_gpu_and_of_one_at_least() -> None:
    assert [cuda.full_batch_size(size_px) for size_px in (224, 112, 10_000)] == [256, 1024, 1]
