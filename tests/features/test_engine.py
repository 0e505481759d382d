"""The fastest engine of this machine held against a forward pass in fp32."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tandem.errors import ParamsError
from tandem.features.backbones import backbone as backbones
from tandem.features.backbones.backbone import Backbone
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.engines import cuda
from tandem.features.engines import engine as engines
from tandem.images.decode import decode
from tandem.images.transforms import resize_image
from tandem.seeding import single_threaded

SIZE = 64
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
MOBILENET = SHARED / "weights" / "mobilenet_v2-imagenet.pth"
PHOTOS = SHARED / "kaggle" / "classificador-veiculos.zip"
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is installed on Linux x86-64 alone")


@pytest.fixture(scope="module", autouse=True)
def on_one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and lose much when other work has the cores."""
    with single_threaded():
        yield


@pytest.fixture(scope="module", params=["mobilenet_v2", "shufflenet_v2_x0_5"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return backbones.load_backbone(request.param, weights="random", sha256=None, seed=0, size_px=SIZE)


def images(number: int) -> np.ndarray:
    """Drawn images, and after them a copy of each that is a little brighter."""
    drawn = dead_leaves(number, size_px=SIZE, seed=1)
    return np.concatenate([drawn, (drawn * 0.9 + 20).astype(np.uint8)])


def direct(pixels: np.ndarray, net: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate([net(torch.from_numpy(part)).numpy() for part in np.array_split(pixels, 8)])


def run(
    backbone: Backbone, pixels: np.ndarray, *, kind: engines.EngineChoice = "auto", batch_size: int = 8
) -> np.ndarray:
    size_px = pixels.shape[1]
    engine = engines.start_engine(backbone, engine=kind, size_px=size_px, batch_size=batch_size, device="cpu")
    return np.concatenate(list(engine.rows(np.split(pixels, range(batch_size, len(pixels), batch_size)))))


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def pairs(rows: np.ndarray, similarity: float) -> set[tuple[int, int]]:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(unit @ unit.T >= similarity), strict=True) if i < j}


def test_the_reference_is_a_forward_pass_in_fp32(backbone: Backbone) -> None:
    x = images(6)
    engine = engines.start_engine(backbone, engine="reference", size_px=SIZE, batch_size=3, device="cpu")
    rows = np.concatenate(list(engine.rows(iter(np.split(x, 4)))))
    assert engine.name == "torch float32"
    assert np.allclose(rows, direct(x, backbone.net), rtol=1e-4, atol=1e-5)


@needs_openvino
def test_the_fastest_engine_gives_the_reference_s_rows_but_for_their_last_digits(backbone: Backbone) -> None:
    x = images(20)
    fast, exact = run(backbone, x), direct(x, backbone.net)
    assert fast.dtype == np.float32
    assert cosines(fast, exact).min() >= engines.MIN_COSINE
    assert not np.array_equal(fast, exact)  # it was another engine
    assert cosines(np.roll(fast, 1, axis=0), exact).min() < engines.MIN_COSINE  # a wrong order would be seen


HERE = [
    pytest.param(name, marks=pytest.mark.skipif(not is_there, reason=f"torch finds no {name} here"))
    for name, is_there in {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.items()
]


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "swin_t"])
@pytest.mark.parametrize("device", HERE)
def test_a_device_gives_the_reference_s_rows_whatever_the_batches(device: str, name: str) -> None:
    backbone = backbones.load_backbone(name, weights="random", sha256=None, seed=0, size_px=SIZE, early_exit=False)
    x = images(20)
    exact, rows = direct(x, backbone.net), []
    for batch_size in (8, 8, 3, 64):
        engine = engines.start_engine(backbone, engine="auto", size_px=SIZE, batch_size=batch_size, device=device)
        rows.append(np.concatenate(list(engine.rows(np.split(x, range(batch_size, len(x), batch_size))))))
    assert engine.name == {"cuda": "torch float16", "mps": "torch float32"}[device]
    assert cosines(rows[0], exact).min() >= engines.MIN_COSINE
    assert cosines(np.roll(rows[0], 1, axis=0), exact).min() < cosines(rows[0], exact).min()
    assert rows[0].tobytes() == rows[1].tobytes()
    if device == "cuda":  # each pass is of as many images
        assert {other.tobytes() for other in rows} == {rows[0].tobytes()}
    assert all(np.allclose(other, rows[0], rtol=1e-4, atol=1e-5) for other in rows)


@pytest.mark.parametrize("device", HERE)
def test_more_passes_than_are_in_flight_keep_their_order(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_AREA_AT_ONCE", 4 * SIZE**2)
    backbone = backbones.load_backbone("resnet18", weights="random", sha256=None, seed=0, size_px=SIZE)
    x = images(33)
    exact = direct(x, backbone.net)
    engine = engines.start_engine(backbone, engine="auto", size_px=SIZE, batch_size=7, device=device)
    found = np.concatenate(list(engine.rows(np.split(x, range(7, len(x), 7)))))
    assert (cosines(found, exact) >= engines.MIN_COSINE).all()
    assert found.shape == exact.shape
    assert list(engine.rows([])) == []


@pytest.mark.parametrize("sizes", [[16, 16, 16], [7], [40, 1], [], [8, 2, 8]])
def test_batches_of_any_size_are_taken_together_in_order(sizes: list[int]) -> None:
    numbers = np.arange(sum(sizes))
    found = list(cuda.rebatch(np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else [], 10))
    assert np.array_equal(np.concatenate([numbers[:0], *(part for parts in found for part in parts)]), numbers)
    assert [sum(map(len, parts)) for parts in found[:-1]] == [10] * (len(found) - 1)


@needs_openvino
def test_an_engine_switch_changes_no_set_of_near_pairs(backbone: Backbone) -> None:
    x = images(20)
    exact = direct(x, backbone.net)
    planted = {(number, number + 20) for number in range(20)}
    similarity = np.quantile(cosines(exact[:20], exact[20:]), 0.1) - 1e-3
    found = pairs(exact, similarity)
    assert len(found & planted) >= 18
    assert pairs(run(backbone, x), similarity) == found


@needs_openvino
def test_the_size_of_batches_changes_no_byte(backbone: Backbone) -> None:
    x = images(8)[:13]
    assert run(backbone, x, batch_size=4).tobytes() == run(backbone, x, batch_size=16).tobytes()


def test_rounded_filters_keep_their_sum_where_rounding_each_weight_loses_it() -> None:
    filters = torch.randn(200, 9, generator=torch.Generator().manual_seed(0))
    filters -= filters.mean(1, keepdim=True) * 0.99  # they cancel
    rounded = engines.round_keeping_sums(filters)
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert ((rounded - filters).abs() <= filters.abs() / 64 + 0.01).all()
    lost, lost_by_each = (abs((x - filters).sum(1)).mean() for x in (rounded, filters.bfloat16().float()))
    assert lost < lost_by_each / 4


def test_no_batch_gives_no_row(backbone: Backbone) -> None:
    engine = engines.start_engine(backbone, engine="auto", size_px=SIZE, batch_size=4, device="cpu")
    assert list(engine.rows([])) == []


def test_an_engine_far_from_the_reference_is_not_taken(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_COSINE", 1.01)  # which none reaches
    assert (
        engines.start_engine(backbone, engine="auto", size_px=SIZE, batch_size=8, device="cpu").name == "torch float32"
    )


class Untraceable(nn.Module):
    """Means of the colors, by a network that nothing can convert."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("not so")
        return pixels.float().mean((1, 2))


def test_a_network_that_openvino_cannot_convert_runs_by_torch() -> None:
    backbone = Backbone("means", Untraceable(), 3, "")
    assert np.allclose(run(backbone, images(3)), images(3).mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_an_error(device: str, backbone: Backbone) -> None:
    if {"cuda": torch.cuda, "mps": torch.backends.mps}[device].is_available():
        pytest.skip(f"this machine has {device}")
    with pytest.raises(ParamsError, match=rf"runtime\.device is '{device}', but torch finds only .*cpu here"):
        engines.start_engine(backbone, engine="auto", size_px=SIZE, batch_size=1, device=device)


@needs_openvino
def test_openvino_is_imported_only_when_it_computes_and_reports_nothing() -> None:
    code = (
        "import sys; from tandem.features.backbones import backbone as backbones; from tandem.features.engines import engine as engines; print('openvino' in sys.modules);"
        "net = backbones.load('squeezenet1_1', weights='random', sha256=None, seed=0, size_px=32);"
        "engines.start(net, engine='auto', size_px=32, batch_size=1, device='cpu');"
        "print('openvino' in sys.modules, sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "True", "None"]


def photographs() -> Iterator[np.ndarray]:
    with zipfile.ZipFile(PHOTOS) as archive:
        for name in sorted(archive.namelist())[::3]:
            if not name.endswith("/"):
                image = decode(archive.read(name), min_side_px=1, max_pixels=2**63).image
                smaller = np.array(image.resize((320, 240), Image.Resampling.BILINEAR))
                yield resize_image(smaller, size_px=224, resize="squash")


@needs_openvino
@pytest.mark.skipif(not (MOBILENET.is_file() and PHOTOS.is_file()), reason="no photographs beside the repository")
def test_photographs_have_the_reference_s_features_by_the_fastest_engine() -> None:
    digest = sha256(MOBILENET.read_bytes()).hexdigest()
    backbone = backbones.load_backbone("mobilenet_v2", weights=str(MOBILENET), sha256=digest, seed=0, size_px=224)
    x = np.stack(list(photographs()))
    fast, exact = run(backbone, x), direct(x, backbone.net)
    assert len(x) >= 15
    assert cosines(fast, exact).min() >= 0.99
    assert pairs(fast, 0.9) == pairs(exact, 0.9)
