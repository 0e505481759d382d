"""Which images go through a network when some have before, and that the bytes are those of a run from nothing."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embeddings import joined
from factories import RANDOM_WEIGHTS, extract_settings
from tandem.cache.store import CACHE_DIR, ResultStore, cache_dir
from tandem.errors import DataError
from tandem.features.embedding import Compute, Extractor, Loaded, backbone_extractor
from tandem.features.engines.base import Engine
from tandem.features.extract import extract
from tandem.features.reuse import Extraction, extract_all, extract_backbone, extract_once

SETTINGS = extract_settings(size_px=32, tta_views=2)


class Means:
    """An extractor that counts how often its engine is started, and the images that go through it."""

    def __init__(self, *, engine: str = "means", recipe: str = "one") -> None:
        self.num_starts, self.num_images, self.engine = 0, 0, engine
        self.extractor = Extractor({"network": recipe}, self.load)

    def load(self) -> Loaded:
        self.num_starts += 1
        return Loaded(Engine(self.engine, self.embed), 3, "0" * 64)

    def embed(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for pixels in batches:
            self.num_images += len(pixels) // SETTINGS.tta_views
            yield pixels.astype(np.float32).mean((1, 2))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """600 small images, of which the last is not in the data at first."""
    paths = [tmp_path / f"{number:032x}.png" for number in range(600)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(path, compress_level=0)
    return paths


def run(paths: list[Path], means: Means, *, max_gb: float = 1) -> Extraction:
    return extract_once(
        paths,
        ids=[path.stem for path in paths],
        extractor=means.extractor,
        settings=SETTINGS,
        batch_size=16,
        workers=2,
        name="means",
        max_gb=max_gb,
    )


def features(paths: list[Path], means: Means, *, max_gb: float = 1) -> bytes:
    return joined(run(paths, means, max_gb=max_gb).batches).tobytes()


def from_nothing(paths: list[Path]) -> bytes:
    """By extract, which knows no store."""
    engine = Means().load().engine
    return joined(extract(paths, engine=engine, settings=SETTINGS, batch_size=16, workers=2, name="means")).tobytes()


def test_the_second_time_no_engine_is_started_and_the_bytes_are_the_same(paths: list[Path]) -> None:
    first, second = Means(), Means()
    assert features(paths, first) == features(paths, second) == from_nothing(paths)
    assert (first.num_starts, first.num_images) == (1, 600)
    assert (second.num_starts, second.num_images) == (0, 0)


def test_of_images_that_are_added_and_removed_only_the_new_ones_are_computed(paths: list[Path]) -> None:
    features(paths[:594], Means())
    means = Means()
    changed = [*paths[:100], *paths[101:590], *paths[595:599]]  # 1 % new, in the middle of the order and at its end
    changed.insert(250, paths[599])
    assert features(changed, means) == from_nothing(changed)
    assert (means.num_starts, means.num_images) == (1, 5)


def test_what_says_how_features_were_made_is_the_same_from_the_store(paths: list[Path]) -> None:
    new = run(paths[:20], Means())
    list(new.batches)
    again = run(paths[:20], Means())
    list(again.batches)
    assert (new.dim, new.engine, new.digest) == (again.dim, again.engine, again.digest) == (3, "means", "0" * 64)
    assert (new.num_images, new.num_new, again.num_new) == (20, 20, 0)
    assert new.in_words() == "20 images, 20 of them new, 3 features each, by means"


def test_without_a_store_all_is_computed_and_nothing_kept(paths: list[Path], cache: Path) -> None:
    means = Means()
    assert features(paths[:40], means, max_gb=0) == features(paths[:40], means, max_gb=0) == from_nothing(paths[:40])
    assert means.num_images == 80
    assert not cache.exists()


def test_a_store_that_is_lost_is_made_anew(paths: list[Path], cache: Path) -> None:
    before = features(paths[:40], Means())
    shutil.rmtree(cache)
    means = Means()
    assert features(paths[:40], means) == before
    assert means.num_images == 40
    assert features(paths[:40], Means()) == before


def test_what_was_computed_before_a_run_broke_off_is_not_computed_again(paths: list[Path]) -> None:
    broken = run(paths, Means()).batches
    next(broken)
    broken.close()
    means = Means()
    assert features(paths, means) == from_nothing(paths)
    assert means.num_images == 600 - 256


def test_rows_of_another_engine_are_computed_again(paths: list[Path]) -> None:
    features(paths[:40], Means())
    other = Means(engine="others")
    assert features(paths[:41], other) == from_nothing(paths[:41])
    assert other.num_images == 41
    again = run(paths[:41], Means())
    assert (len(joined(again.batches)), again.engine) == (41, "others")


def test_what_another_process_removes_meanwhile_is_computed(paths: list[Path]) -> None:
    before, means = features(paths, Means()), Means()
    started = run(paths, means)
    assert started.num_new == 0
    first = next(started.batches)
    remove_rows(means)
    assert joined([first, *started.batches]).tobytes() == before
    assert means.num_images == 600 - 256
    assert features(paths[256:], Means()) == from_nothing(paths[256:])


def test_features_of_two_engines_never_come_together(paths: list[Path]) -> None:
    features(paths, Means())
    started = run(paths, means := Means(engine="others"))
    next(started.batches)
    remove_rows(means)
    with pytest.raises(
        DataError, match=r"of means were stored by means, and others is what computes now.*run the stage"
    ):
        list(started.batches)


def remove_rows(means: Means) -> None:
    store = ResultStore(cache_dir(), means.extractor.recipe, max_bytes=10**9)
    store._database.execute("DELETE FROM rows")
    store.close()


def test_a_flipped_bit_in_the_store_changes_no_feature(paths: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    before, means = features(paths[:40], Means()), Means()
    path = ResultStore(cache_dir(), means.extractor.recipe, max_bytes=10**9).path
    data = bytearray(path.read_bytes())
    place = data.index(np.frombuffer(before, np.float32)[60:66].tobytes())  # of the eleventh image
    data[place + 6] ^= 4
    path.write_bytes(data)
    assert features(paths[:40], means) == before
    assert means.num_images == 1
    assert "is damaged in part; those results are computed again" in capsys.readouterr().err
    assert features(paths[:40], Means()) == before


def test_no_image_gives_no_batch(cache: Path) -> None:
    for _ in range(2):
        nothing = run([], Means())
        assert (nothing.dim, list(nothing.batches)) == (3, [])


def test_a_backbone_is_loaded_only_where_features_are_missing(paths: list[Path]) -> None:
    extractor = backbone_extractor("squeezenet1_1", RANDOM_WEIGHTS, SETTINGS, device="cpu", batch_size=4)

    def extracted(extractor: Extractor) -> Extraction:
        return extract_once(
            paths[:3],
            ids=["a", "b", "c"],
            extractor=extractor,
            settings=SETTINGS,
            batch_size=4,
            workers=1,
            name="squeezenet1_1",
            max_gb=1,
        )

    new = extracted(extractor)
    computed = joined(new.batches)
    stored = extracted(Extractor(extractor.recipe, load=lambda: pytest.fail("it is loaded")))
    assert joined(stored.batches).tobytes() == computed.tobytes()
    assert (stored.engine, stored.digest) == (new.engine, new.digest) == ("torch float32", extractor.load().digest)


def test_several_backbones_have_the_features_that_each_has_alone(paths: list[Path]) -> None:
    backbones = {"squeezenet1_1": RANDOM_WEIGHTS, "shufflenet_v2_x0_5": RANDOM_WEIGHTS}
    options = {"ids": [path.stem for path in paths[:5]], "compute": Compute("cpu", 4, 1)}
    together = extract_all(backbones, SETTINGS, paths[:5], **options, max_gb=1)
    assert list(together) == list(backbones)
    for name, weights in backbones.items():
        alone = extract_backbone(name, weights, SETTINGS, paths[:5], **options, max_gb=0)
        assert np.array_equal(together[name], joined(alone.batches))
