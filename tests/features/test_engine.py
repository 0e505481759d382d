"""The reference against a forward pass, and which engine is taken on which machine."""

import numpy as np
import pytest
import torch
from torch import nn

from cores import on_cores
from embeddings import embed, forward, joined
from networks import SIZE_PX, load
from tandem.features.backbones.backbone import Backbone
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.engines import engine as engines
from tandem.features.engines.base import reference_engine
from tandem.features.engines.engine import start_engine

PIXELS = dead_leaves(12, size_px=SIZE_PX, seed=1)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load("shufflenet_v2_x0_5")


def test_the_reference_is_a_forward_pass_in_fp32(backbone: Backbone) -> None:
    engine = start_engine(backbone, engine="reference", size_px=SIZE_PX, batch_size=3, device="cpu")
    features = joined(engine.embed(iter(np.split(PIXELS, 4))))
    assert engine.name == "torch float32"
    assert np.allclose(features, forward(backbone.net, PIXELS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "swin_t"])  # alone they differ in a pass of one
def test_the_reference_gives_an_image_the_same_bytes_whatever_images_it_is_with(name: str) -> None:
    net = load(name, early_exit=False).net
    engine = reference_engine(net, torch.device("cpu"), batch_size=4)
    together = joined(engine.embed(np.split(PIXELS, 3)))
    for batches in (
        [PIXELS[:4], PIXELS[4:7]],
        [PIXELS[6:10], PIXELS[10:11]],
        [PIXELS[number : number + 1] for number in range(3)],
    ):
        first = int(np.flatnonzero((batches[0][0] == PIXELS).all(axis=(1, 2, 3)))[0])
        found = joined(engine.embed(batches))
        assert found.tobytes() == together[first : first + len(found)].tobytes()


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_no_batch_gives_no_features(engine: engines.EngineChoice, backbone: Backbone) -> None:
    started = start_engine(backbone, engine=engine, size_px=SIZE_PX, batch_size=4, device="cpu")
    assert list(started.embed([])) == []


def test_an_engine_far_from_the_reference_is_not_taken(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_COSINE", 1.01)  # which none reaches
    engine = start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=8, device="cpu")
    assert engine.name == "torch float32"


class Untraceable(nn.Module):
    """Means of the colors, by a network that nothing can convert."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("not so")
        return pixels.float().mean((1, 2))


def test_a_network_that_no_faster_engine_can_convert_runs_by_torch() -> None:
    found = embed(Backbone("means", Untraceable(), 3, ""), PIXELS)
    assert np.allclose(found, PIXELS.mean((1, 2)), rtol=1e-4)


def test_an_engine_is_judged_by_the_image_that_it_is_worst_at() -> None:
    one = np.eye(4, dtype=np.float32)
    other = one.copy()
    other[2] = one[3]
    assert engines._min_cosine([one[:2], one[2:]], [other]) == 0
    assert engines._min_cosine([one], [2 * one]) == pytest.approx(1)
    other[2] = np.nan
    assert engines._min_cosine([one], [other]) == 0


def test_on_another_number_of_cores_features_differ_in_their_last_bits_at_most(backbone: Backbone) -> None:
    found = []
    for num_cores in (1, 2, 1):
        with on_cores(num_cores):
            found.append(embed(backbone, PIXELS, engine="reference"))
    one, two, again = found
    assert one.tobytes() == again.tobytes()
    assert torch.cosine_similarity(torch.from_numpy(one), torch.from_numpy(two)).min() > 0.99999
