"""OpenVINO's features held against a forward pass in fp32."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from embeddings import cosines, embed, forward, similar_pairs
from factories import RANDOM_WEIGHTS
from networks import SIZE_PX, file_weights
from tandem.features.backbones.backbone import Backbone, load_backbone
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.engines.engine import MIN_COSINE
from tandem.features.engines.openvino import round_keeping_sums
from tandem.images.decode import decode
from tandem.images.transforms import resize_image

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
MOBILENET = SHARED / "weights" / "mobilenet_v2-imagenet.pth"
PHOTOS = SHARED / "kaggle" / "classificador-veiculos.zip"
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is installed on Linux x86-64 alone")


@pytest.fixture(scope="module", params=["mobilenet_v2", "shufflenet_v2_x0_5"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return load_backbone(request.param, RANDOM_WEIGHTS, seed=0, size_px=SIZE_PX)


def images(number: int) -> np.ndarray:
    """Synthetic images, and after them a near duplicate of each that is a little brighter."""
    leaves = dead_leaves(number, size_px=SIZE_PX, seed=1)
    return np.concatenate([leaves, (leaves * 0.9 + 20).astype(np.uint8)])


@needs_openvino
def test_features_are_those_of_fp32_but_for_their_last_digits(backbone: Backbone) -> None:
    pixels = images(20)
    fast, exact = embed(backbone, pixels), forward(backbone.net, pixels)
    assert fast.dtype == np.float32
    assert cosines(fast, exact).min() >= MIN_COSINE
    assert not np.array_equal(fast, exact)  # it was another engine
    assert cosines(np.roll(fast, 1, axis=0), exact).min() < MIN_COSINE  # a wrong order would be seen


@needs_openvino
def test_the_engine_changes_no_set_of_similar_pairs(backbone: Backbone) -> None:
    pixels = images(20)
    exact = forward(backbone.net, pixels)
    planted = {(number, number + 20) for number in range(20)}
    min_similarity = np.quantile(cosines(exact[:20], exact[20:]), 0.1) - 1e-3
    found = similar_pairs(exact, min_similarity)
    assert len(found & planted) >= 18
    assert similar_pairs(embed(backbone, pixels), min_similarity) == found


@needs_openvino
def test_the_size_of_batches_changes_no_byte(backbone: Backbone) -> None:
    pixels = images(8)[:13]
    assert embed(backbone, pixels, batch_size=4).tobytes() == embed(backbone, pixels, batch_size=16).tobytes()


def test_rounded_filters_keep_their_sum_where_rounding_each_weight_loses_it() -> None:
    filters = torch.randn(200, 9, generator=torch.Generator().manual_seed(0))
    filters -= filters.mean(1, keepdim=True) * 0.99  # they cancel
    rounded = torch.from_numpy(round_keeping_sums(filters.numpy()))
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert ((rounded - filters).abs() <= filters.abs() / 64 + 0.01).all()
    lost, lost_by_each = (abs((x - filters).sum(1)).mean() for x in (rounded, filters.bfloat16().float()))
    assert lost < lost_by_each / 4


@needs_openvino
def test_openvino_is_imported_only_when_it_computes_and_reports_nothing() -> None:
    code = """
import sys
from tandem.features.backbones.backbone import load_backbone
from tandem.features.engines.engine import start_engine
from tandem.features.settings import BackboneSettings
print("openvino" in sys.modules)
net = load_backbone("squeezenet1_1", BackboneSettings("random"), seed=0, size_px=32)
start_engine(net, engine="auto", size_px=32, batch_size=1, device="cpu")
print("openvino" in sys.modules, sys.modules["openvino_telemetry"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "True", "None"]


def photographs() -> Iterator[np.ndarray]:
    with zipfile.ZipFile(PHOTOS) as archive:
        for name in sorted(archive.namelist())[::3]:
            if not name.endswith("/"):
                image = decode(archive.read(name), min_side_px=1, max_pixels=2**63).image
                smaller = np.array(image.resize((320, 240), Image.Resampling.BILINEAR))
                yield resize_image(smaller, size_px=224, resize="squash", interpolation="bilinear")


@needs_openvino
@pytest.mark.skipif(not (MOBILENET.is_file() and PHOTOS.is_file()), reason="no photographs beside the repository")
def test_photographs_have_the_features_of_fp32() -> None:
    backbone = load_backbone("mobilenet_v2", file_weights(MOBILENET), seed=0, size_px=224)
    pixels = np.stack(list(photographs()))
    fast, exact = embed(backbone, pixels), forward(backbone.net, pixels)
    assert len(pixels) >= 15
    assert cosines(fast, exact).min() >= 0.99
    assert similar_pairs(fast, 0.9) == similar_pairs(exact, 0.9)
