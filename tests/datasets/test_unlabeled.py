"""A folder without labels: of each image what ingest would store, and of the other files why not."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from tandem.datasets.settings import IngestSettings
from tandem.datasets.unlabeled import read_unlabeled
from tandem.images.encoding import encode_images

SETTINGS = IngestSettings(min_side_px=32, max_pixels=1_000_000, max_side_px=100)


def noise(seed, size=(60, 50)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


@pytest.fixture
def paths(tmp_path):
    noise(0).save(tmp_path / "a.png")
    noise(1, (300, 120)).save(tmp_path / "b.jpg")
    noise(0).save(tmp_path / "c.bmp")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("not an image")
    noise(2, (40, 20)).save(tmp_path / "small.png")
    return [*sorted(tmp_path.iterdir()), tmp_path / "none.png"]


def read(paths, pack_path, *, max_images=100, seed=0, workers=2):
    return read_unlabeled(paths, SETTINGS, pack_path=pack_path, max_images=max_images, seed=seed, workers=workers)


def test_of_each_image_there_is_what_ingest_stores(paths, tmp_path):
    images = read(paths, tmp_path / "packed")
    assert [path.name for path in images.paths] == ["a.png", "b.jpg", "c.bmp"]
    limits = {"min_side_px": 32, "max_pixels": 1_000_000, "max_side_px": 100}
    for row, path in enumerate(images.paths):
        expected = encode_images(path.read_bytes(), [None], **limits)[None]
        assert images.packed[row].read_bytes() == expected.data
        assert images.sha256[row] == hashlib.sha256(expected.data).hexdigest()
        found = images.ids[row], images.widths[row], images.heights[row], images.quality[row]
        assert found == (expected.id, expected.width, expected.height, expected.quality)
        assert (images.hashes[row] == expected.hashes).all()
    assert Image.open(io.BytesIO(images.packed[1].read_bytes())).size == (100, 40)
    assert images.ids[0] == images.ids[2] != images.ids[1]


def test_every_other_file_is_named_with_its_reason(paths, tmp_path):
    images = read(paths, tmp_path / "packed")
    found = {each.path.name: (each.failure, each.is_image) for each in images.failed}
    assert set(found) == {"cut.png", "notes.txt", "small.png", "none.png"}
    assert found["cut.png"][0].startswith("the image's data ends early or is corrupt")
    assert found["notes.txt"][0].startswith("not an image in a known format")
    assert found["small.png"] == ("40 x 20 pixels; the shorter side needs 32", True)
    assert found["none.png"] == ("No such file or directory", True)
    assert [found[name][1] for name in ("cut.png", "notes.txt")] == [True, False]
    assert (images.num_files, images.num_unread) == (7, 0)


def test_of_more_files_a_sample_is_read_that_the_seed_decides(tmp_path):
    paths = []
    for number in range(30):
        paths.append(tmp_path / f"{number:02d}.png")
        noise(number, (40, 40)).save(paths[-1])
    paths[3].write_bytes(b"no image")
    one, same, other = (read(paths, tmp_path / f"packed{seed}", max_images=8, seed=seed // 2) for seed in (0, 1, 2))
    assert len(one) == len(other) == 8
    assert (one.paths, one.ids) == (same.paths, same.ids)
    assert one.paths != other.paths
    assert list(one.paths) == sorted(one.paths)
    assert one.num_unread + len(one.failed) == 22
    everything = read(paths, tmp_path / "all", max_images=29)
    assert (len(everything), len(everything.failed), everything.num_unread) == (29, 1, 0)


def test_the_number_of_workers_changes_nothing(paths, tmp_path):
    one, many = (read(paths, tmp_path / f"packed{workers}", workers=workers) for workers in (1, 4))
    assert (one.ids, one.sha256, one.failed) == (many.ids, many.sha256, many.failed)


def test_names_of_uploads_and_videos_are_shared_within_a_folder(tmp_path):
    paths = []
    for folder in "xy":
        for name in ("clip_mp4-1.png", "clip_mp4-2.png", f"car_png.rf.{'0' * 32}.png", "car.png"):
            paths.append(tmp_path / folder / name)
            paths[-1].parent.mkdir(exist_ok=True)
            noise(len(paths)).save(paths[-1])
    keys = read(paths, tmp_path / "packed").provenance_keys
    assert keys[0] == keys[1] == (f"video:{tmp_path}/x/clip",)
    assert keys[4] == (f"video:{tmp_path}/y/clip",)
    assert keys[2:4] == [(f"stem:{tmp_path}/x/car",), ()]


def test_without_files_there_are_no_images(tmp_path):
    images = read([], tmp_path / "packed")
    assert (len(images), images.hashes.shape, images.failed) == (0, (0, 8, 32), ())
