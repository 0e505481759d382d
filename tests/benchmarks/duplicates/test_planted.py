"""Which images are planted, and which rows they have."""

import io

import pytest

from duplicates import planted
from duplicates.transformations import TRANSFORMATIONS
from planted_duplicates import four_originals, generated


@pytest.fixture
def files():
    encoded = []
    for seed in range(5):
        file = io.BytesIO()
        generated(seed).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


def test_rows_are_the_originals_and_one_transformations_duplicates(tmp_path):
    first, second, *_ = TRANSFORMATIONS
    images = four_originals(tmp_path)
    assert images.rows(first).tolist() == [0, 1, 2, 3, 4, 5]
    assert images.rows(second).tolist() == [0, 1, 2, 3, 6, 7]


def test_twice_as_many_originals_are_written_as_are_transformed(files, tmp_path):
    images = planted.plant(files, 2, tmp_path)
    assert (images.num_originals, images.num_duplicates) == (4, 2)
    assert all(path.is_file() for path in images.paths)
    assert {path.read_bytes() for path in images.paths[:4]} <= set(files)
    transformed = set(images.original_of[4:].tolist())
    assert len(transformed) == 2
    assert all(images.paths[4].name.startswith(f"{row:05}-00") for row in images.original_of[4:5])


def test_what_does_not_decode_is_no_image(files):
    assert planted.is_image(files[0])
    assert not planted.is_image(files[0][:200])
