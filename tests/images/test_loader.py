"""Batches of decoded images: whole, in order, only a few ahead; and pixels that are kept on disk."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.errors import DataError
from tandem.images.loader import BATCHES_AHEAD, IMAGES_AHEAD, cache_pixels, iter_batches
from tandem.images.transforms import load_transformed

SIZE_PX = 32
TRANSFORM: dict[str, Any] = {"size_px": SIZE_PX, "resize": "crop", "interpolation": "bicubic"}


def encoded(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40 + number, 30), (6 * number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def files(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(number))
    return paths


batches_of = partial(iter_batches, **TRANSFORM)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (4, 2), (10, 3), (64, 1)])
def test_batches_are_whole_and_in_the_order_of_the_paths(batch_size: int, workers: int, tmp_path: Path) -> None:
    paths = files(tmp_path, 21)
    batches = list(batches_of(paths, batch_size=batch_size, workers=workers))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    pixels = np.concatenate(batches)
    assert (pixels.shape, pixels.dtype) == ((21, SIZE_PX, SIZE_PX, 3), np.uint8)
    assert (pixels == [[[[6 * number, 0, 0]]] for number in range(21)]).all()


@pytest.mark.parametrize("batch_size", [2, 6, 7])
def test_the_tta_views_of_an_image_follow_one_another_in_one_batch(batch_size: int, tmp_path: Path) -> None:
    paths = files(tmp_path, 5)
    batches = list(batches_of(paths, tta_views=3, batch_size=batch_size, workers=2))
    assert all(len(batch) % 3 == 0 and len(batch) <= max(3, batch_size) for batch in batches)
    views = [load_transformed(encoded(n), **TRANSFORM, tta_views=3) for n in range(5)]
    assert np.array_equal(np.concatenate(batches), np.concatenate(views))


def test_no_path_gives_no_batch() -> None:
    assert list(batches_of([], batch_size=4, workers=1)) == []


def test_only_a_few_batches_are_read_ahead(tmp_path: Path) -> None:
    paths = files(tmp_path, 40)
    batches = batches_of(paths, batch_size=2, workers=1)
    first = next(batches)
    unread = paths[2 + max(2 * BATCHES_AHEAD, IMAGES_AHEAD) :]
    for path in unread:  # whatever was read ahead has the pixels of before
        path.write_bytes(encoded(1))
    reds = np.concatenate([first, *batches])[:, 0, 0, 0]
    assert (reds[-len(unread) :] == 6).all()
    assert reds[:2].tolist() == [0, 6]


def test_a_file_that_is_missing_is_an_error_only_when_it_is_reached(tmp_path: Path) -> None:
    paths = [*files(tmp_path, 30), tmp_path / "30.png"]
    batches = batches_of(paths, batch_size=2, workers=2)
    assert len(np.concatenate([next(batches) for _ in range(15)])) == 30
    with pytest.raises(DataError, match=r"30\.png cannot be read any more \(.*No such file.*\); run the ingest stage"):
        next(batches)


def test_a_file_that_is_damaged_is_an_error_that_names_it(tmp_path: Path) -> None:
    paths = files(tmp_path, 6)
    paths[4].write_bytes(paths[4].read_bytes()[:60])
    with pytest.raises(DataError, match=r"04\.png cannot be read any more \(.*\); run the ingest stage again"):
        list(batches_of(paths, batch_size=2, workers=2))


def test_cached_pixels_are_those_of_the_batches_and_lie_on_disk(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    cached = cache_pixels(tmp_path / "pixels.npy", iter(np.split(pixels, [3, 6])), count=7, size_px=SIZE_PX)
    assert isinstance(cached, np.memmap)
    assert np.array_equal(cached, pixels)
    assert np.array_equal(np.load(tmp_path / "pixels.npy"), pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["pixels.npy"]


def test_pixels_are_cached_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> object:
        yield np.zeros((2, SIZE_PX, SIZE_PX, 3), np.uint8)
        raise DataError("the disk is gone")

    with pytest.raises(DataError, match="the disk is gone"):
        cache_pixels(tmp_path / "pixels.npy", broken(), count=4, size_px=SIZE_PX)
    assert list(tmp_path.iterdir()) == []
