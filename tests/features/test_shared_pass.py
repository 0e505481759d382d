"""Images that several backbones lack are decoded once, and no output depends on which of them came first."""

import platform
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from embeddings import joined
from factories import extract_settings
from tandem.cache.store import CACHE_DIR
from tandem.features.embedding import Compute
from tandem.features.reuse import Extraction, extract_backbone
from tandem.features.settings import BackboneSettings, ExtractSettings

SETTINGS = extract_settings(size_px=32)
BACKBONES = {
    "small": BackboneSettings("random", architecture="shufflenet_v2_x0_5"),
    "large": BackboneSettings("random", architecture="squeezenet1_1", size_px=24),
}
NUM_IMAGES = 300


class CountedFile(type(Path())):  # type: ignore[misc] # a path of this system
    """A path that counts how often its file is read."""

    reads: ClassVar[list[str]] = []

    def read_bytes(self) -> bytes:
        self.reads.append(self.stem)
        return super().read_bytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_cache(tmp_path / "cache", monkeypatch)


def use_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_DIR, str(folder))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [CountedFile(folder / f"{number:04}.png") for number in range(NUM_IMAGES)]
    for number, path in enumerate(paths):
        colors = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(colors).resize((32, 32)).save(path, compress_level=0)
    return paths


@pytest.fixture(autouse=True)
def counted() -> Iterator[None]:
    CountedFile.reads.clear()
    yield
    CountedFile.reads.clear()


def run(
    name: str,
    images: list[Path],
    *,
    backbones: dict[str, BackboneSettings] = BACKBONES,
    settings: ExtractSettings = SETTINGS,
    max_gb: float = 1,
) -> Extraction:
    """As the stage of one backbone does it, where these are the backbones of the parameters."""
    return extract_backbone(
        name,
        backbones[name],
        settings,
        images,
        ids=[path.stem for path in images],
        compute=Compute("cpu", 16, 2),
        max_gb=max_gb,
        others={other: weights for other, weights in backbones.items() if other != name},
    )


def features(name: str, images: list[Path]) -> bytes:
    return joined(run(name, images).batches).tobytes()


def alone(name: str, images: list[Path], **options: float) -> bytes:
    return joined(run(name, images, backbones={name: BACKBONES[name]}, **options).batches).tobytes()


def test_what_one_backbone_decodes_goes_through_all_that_lack_it(images: list[Path]) -> None:
    first = run("small", images)
    assert (first.num_new, first.also) == (NUM_IMAGES, ("large",))
    assert first.in_words().endswith("by torch float32; large embedded the new ones in the same pass")
    small = joined(first.batches)
    second = run("large", images)
    assert (second.num_new, second.also) == (0, ())
    large = joined(second.batches)
    assert sorted(CountedFile.reads) == [path.stem for path in images]
    assert small.shape[2] != large.shape[2]
    assert small.tobytes() == alone("small", images, max_gb=0)
    assert large.tobytes() == alone("large", images, max_gb=0)


def test_the_bytes_do_not_depend_on_which_backbone_came_first(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {name: features(name, images[:40]) for name in ("small", "large")}
    use_cache(tmp_path / "other", monkeypatch)
    other = {name: features(name, images[:40]) for name in ("large", "small")}
    assert one == other


def test_new_images_are_decoded_once_and_the_others_not_at_all(images: list[Path]) -> None:
    features("small", images[:50])
    CountedFile.reads.clear()
    second = run("small", images[:53])
    joined(second.batches)
    assert (second.num_new, run("large", images[:53]).num_new) == (3, 0)
    assert CountedFile.reads == ["0050", "0051", "0052"]


def test_a_backbone_that_has_its_features_computes_none_beside_another(images: list[Path]) -> None:
    alone("large", images[:20])
    first = run("small", images[:20])
    assert first.also == ()
    joined(first.batches)
    assert features("large", images[:20]) == alone("large", images[:20], max_gb=0)


def test_a_backbone_that_has_some_of_the_images_is_left_to_its_own_stage(images: list[Path]) -> None:
    alone("large", images[:5])
    assert run("small", images[:20]).also == ()


def test_after_an_end_in_the_middle_both_go_on_from_there(images: list[Path]) -> None:
    stopped = run("small", images).batches
    assert sum(map(len, islice(stopped, 1))) == 256
    stopped.close()
    rest = run("small", images)
    assert (rest.num_new, rest.also) == (NUM_IMAGES - 256, ("large",))
    joined(rest.batches)
    assert run("large", images).num_new == 0
    assert len(set(CountedFile.reads)) == NUM_IMAGES


def test_one_that_cannot_be_loaded_is_left_to_its_own_stage(images: list[Path]) -> None:
    missing = BackboneSettings("missing/weights.pth", sha256="0" * 64, architecture="squeezenet1_1")
    first = run("small", images[:20], backbones={"small": BACKBONES["small"], "large": missing})
    assert first.also == ()
    assert joined(first.batches).tobytes() == alone("small", images[:20], max_gb=0)


def test_the_same_network_by_another_name_is_not_computed_twice(images: list[Path]) -> None:
    first = run("small", images[:20], backbones={"small": BACKBONES["small"], "twin": BACKBONES["small"]})
    assert first.also == ()
    joined(first.batches)
    assert run("twin", images[:20], backbones={"twin": BACKBONES["small"]}).num_new == 0


@pytest.mark.parametrize("max_gb", [0, 2 * 300 * 4 * 4096 / 1e9 * 0.99])
def test_without_room_for_the_features_of_all_each_decodes_for_itself(max_gb: float, images: list[Path]) -> None:
    assert run("small", images, max_gb=max_gb).also == ()


def test_one_that_auto_leaves_to_fp32_is_left_to_its_own_stage(
    images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")  # OpenVINO is not taken there
    first = run("small", images[:20], settings=extract_settings(size_px=32, engine="auto"))
    assert (first.engine, first.also) == ("torch float32", ())
