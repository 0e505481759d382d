"""Known sets, by an archive of a few generated images whose leaks are planted."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

import known_sets
from planted_duplicates import generated
from scratch import read_preset

CLASSES = ("car", "truck")
NUM_PER_CLASS = 16


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, **({"format": "PNG"} | options))
    return file.getvalue()


def leaky_files():
    """Path -> bytes: distinct images in Train/, and in Test/ an exact copy, a near duplicate and a conflict."""
    images = [generated(seed) for seed in range(2 * NUM_PER_CLASS)]
    files = {f"set/Train/{CLASSES[number % 2]}/{number:02}.png": encoded(image) for number, image in enumerate(images)}
    files["set/Test/car/copy.png"] = encoded(images[0])
    files["set/Test/truck/near.jpg"] = encoded(images[1].resize((180, 135)), format="JPEG", quality=60)
    files["set/Test/truck/conflict.jpg"] = encoded(images[2], format="JPEG", quality=60)
    return files


def mean_colors(packed):
    """(N, 12) features without a network: the mean colors of an image's quarters, alike in near duplicates."""
    images = (Image.open(io.BytesIO(each.read_bytes())).convert("RGB").resize((2, 2)) for each in packed)
    return np.stack([np.asarray(image, dtype=np.float32).ravel() for image in images])


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    folder = tmp_path_factory.mktemp("known-sets")
    with zipfile.ZipFile(folder / "leaky.zip", "w") as archive:
        for name, data in leaky_files().items():
            archive.writestr(name, data)
    (folder / "work").mkdir()
    return known_sets.examine(folder / "leaky.zip", folder / "work", mean_colors, read_preset("vehicles"), num_splits=2)


def test_copies_near_duplicates_and_conflicts_are_counted_and_those_across_the_own_split(row):
    assert (row.name, row.classes, row.files) == ("leaky", 2, 2 * NUM_PER_CLASS + 3)
    assert row.exact_copies == 1
    assert row.near_duplicate_pairs == 2
    assert row.pairs_across_own_split == 3
    assert row.label_conflicts == 2


def test_the_accuracies_are_those_of_a_probe_on_both_splits(row):
    assert 0 <= row.group_aware_split_accuracy <= 1
    assert 0 <= row.random_split_accuracy <= 1


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("vehicle/Train/Car/1.jpg", "train"),
        ("seg_test/seg_test/sea/1.jpg", "test"),
        ("valid/images/1.jpg", "val"),
        ("val/images/1.jpg", "val"),
        ("validation/images/1.jpg", "val"),
        ("trains/1.jpg", ""),
        ("Car-Bike-Dataset/Car/test.jpg", ""),
    ],
)
def test_the_own_split_is_read_from_folders(path, split):
    assert known_sets.own_split(path) == split


def test_a_set_with_one_folder_of_a_split_has_no_pairs_across():
    assert known_sets.num_pairs_across_own_split([], np.zeros((0, 2), dtype=np.int64)) is None
