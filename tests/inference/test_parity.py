"""When an exported file counts as the model that was scored."""

import numpy as np
import pytest
from PIL import Image

from tandem.errors import DataError
from tandem.inference.parity import (
    MAX_DIFFERENCE,
    ProbDifference,
    difference,
    evenly_spaced,
    probs_from_files,
    require_same,
)

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.45, 0.45, 0.1], [0.2, 0.5, 0.3]])


def test_the_largest_difference_and_the_classes_that_change_are_counted():
    probs = np.array([[0.2, 0.7, 0.1], [0.45, 0.45, 0.1], [0.2, 0.501, 0.299]])
    assert difference(probs, REFERENCE) == ProbDifference(pytest.approx(0.5), 1, 3)


def test_a_class_that_changes_at_a_tie_does_not_count():
    probs = REFERENCE + np.array([[0, 0, 0], [0, 0.0001, -0.0001], [0, 0, 0]])
    assert difference(probs, REFERENCE) == ProbDifference(pytest.approx(0.0001), 0, 3)


def test_no_images_differ_in_nothing():
    assert difference(REFERENCE[:0], REFERENCE[:0]) == ProbDifference(0.0, 0, 0)


@pytest.mark.parametrize(
    "found", [ProbDifference(0.002, 0, 9), ProbDifference(0.0005, 1, 9), ProbDifference(float("nan"), 0, 9)]
)
def test_a_file_that_differs_is_refused_with_the_numbers(found):
    with pytest.raises(
        DataError, match=rf"differs by \S+ in a prob and in {found.changed_classes} classes of 9 images"
    ):
        require_same(found, between="from torch in fp32")


def test_a_file_that_hardly_differs_is_not_refused():
    require_same(ProbDifference(0.0009, 0, 9), between="from torch in fp32")


@pytest.mark.parametrize(("num_images", "expected"), [(1, 1), (5, 5), (64, 64), (1000, 64)])
def test_at_most_64_images_are_read_from_files_the_first_and_the_last_among_them(num_images, expected):
    rows = evenly_spaced(num_images)
    assert (len(rows), rows[0], rows[-1]) == (expected, 0, num_images - 1)


def test_the_file_predicts_from_a_folder_of_its_own(exported, tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("red", "blue")]
    for path in paths:
        Image.new("RGB", (30, 30), path.stem).save(path)
    assert probs_from_files(exported, paths, batch_size=1, workers=1).argmax(axis=1).tolist() == [0, 2]
    paths[1].write_bytes(b"this is no image")
    with pytest.raises(DataError, match=r"blue\.png: not an image in a known format .*; run `dvc repro` again"):
        probs_from_files(exported, paths, batch_size=1, workers=1)


def test_another_class_counts_unless_it_is_as_probable_in_the_reference() -> None:
    reference = np.array([[0.4, 0.35, 0.25], [0.5, 0.5 - MAX_DIFFERENCE / 2, MAX_DIFFERENCE / 2], [0.1, 0.2, 0.7]])
    turned = reference[:, [1, 0, 2]]
    found = difference(turned, reference)
    assert (found.changed_classes, found.images) == (1, 3)  # of the first image alone
    assert found.largest == pytest.approx(0.1)
    assert difference(reference, reference).changed_classes == 0
