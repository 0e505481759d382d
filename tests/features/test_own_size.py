"""Features of images of another size: those of an extraction at that size; without one, those of `extract`."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factories import RANDOM_WEIGHTS, extract_settings
from tandem.cache.store import CACHE_DIR
from tandem.features.embedding import Compute
from tandem.features.own_size import FeatureSource, features_at
from tandem.features.reuse import extract_all
from tandem.tables.features import write_features
from tandem.tables.stored import StoredImage, StoredImages, load_stored, save_stored

BACKBONES = {"squeezenet1_1": RANDOM_WEIGHTS}
IDS = tuple(f"{number:032x}" for number in range(4))
COMPUTE = Compute("cpu", 4, 1)
SETTINGS = extract_settings(size_px=32, tta_views=2)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureSource:
    """Four packed images of noise, and planted features of them."""
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    rng, packed, images = np.random.default_rng(0), b"", list[StoredImage]()
    for id_ in IDS:
        data = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (90, 70, 3), np.uint8)).save(data, "PNG")
        digest = hashlib.sha256(data.getvalue()).hexdigest()
        images.append(StoredImage(id_, "web/images.tar", len(packed), len(data.getvalue()), digest))
        packed += data.getvalue()
    (tmp_path / "ingest/web").mkdir(parents=True)
    (tmp_path / "ingest/web/images.tar").write_bytes(packed)
    save_stored(StoredImages.of(images), tmp_path / "stored.csv")
    planted = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    write_features(
        tmp_path / "extract/squeezenet1_1",
        ids=IDS,
        dim=3,
        batches=[planted],
        meta={"backbone": "squeezenet1_1"},
        num_tta_views=2,
    )
    return FeatureSource(tmp_path / "extract", stored=tmp_path / "stored.csv", packed=tmp_path / "ingest")


def at(size_px: int | None, source: FeatureSource) -> np.ndarray:
    found = features_at(size_px, source, backbones=BACKBONES, settings=SETTINGS, ids=IDS, compute=COMPUTE, max_gb=1)
    return found["squeezenet1_1"]


def test_without_a_size_they_are_those_of_extract(source: FeatureSource) -> None:
    assert np.array_equal(at(None, source), np.arange(24, dtype=np.float32).reshape(4, 2, 3))


def test_of_a_size_they_are_those_of_an_extraction_of_that_size_without_tta_views(source: FeatureSource) -> None:
    found = at(64, source)
    (first, *_) = load_stored(source.stored).packed(source.packed)
    settings = extract_settings(size_px=64, tta_views=1)
    options = {"ids": ["first"], "compute": COMPUTE, "max_gb": 0}
    expected = extract_all(BACKBONES, settings, [first], **options)["squeezenet1_1"]
    assert found.shape == (4, 1, expected.shape[-1])
    assert np.allclose(found[0], expected[0], atol=1e-4 * np.abs(expected).max())
    assert not np.allclose(found[0], found[1], atol=1e-3 * np.abs(expected).max())
