"""What curation decided: rows and targets of each split, what is refused, and the way to disk and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.tables.samples import SPLITS, Sample, Samples, load_samples, save_samples

NAMES = ("truck", "car")
PLANTED = Samples.of(
    NAMES,
    (
        Sample("a", "car", "street", group="1", split="train"),
        Sample("b", "truck", "street", group="2", split="test"),
        Sample("c", "car", "yard", group="1", split="", exclusion_reason="duplicate of a"),
        Sample("d", "car", "yard", group="3", split="val"),
        Sample("e", "truck", "yard", group="1", split="train"),
        Sample("f", "car", "street", group="2", split="test"),
    ),
)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="the columns of samples are not equally long"):
        replace(PLANTED, groups=PLANTED.groups[:-1])


def test_rows_of_a_split_are_ascending_row_numbers() -> None:
    assert [PLANTED.split(split).rows.tolist() for split in SPLITS] == [[0, 4], [3], [1, 5]]
    assert PLANTED.train.rows.dtype == np.int64


def test_rows_by_split_holds_all_splits_in_order() -> None:
    found = PLANTED.rows_by_split()
    assert {split: rows.tolist() for split, rows in found.items()} == {"train": [0, 4], "val": [3], "test": [1, 5]}
    assert tuple(found) == SPLITS


def test_each_split_by_its_name_is_that_split() -> None:
    for split, name in ((PLANTED.train, "train"), (PLANTED.val, "val"), (PLANTED.test, "test")):
        assert split.rows.tolist() == np.flatnonzero(PLANTED.splits == name).tolist()
        assert split.ids == PLANTED.split(name).ids
    assert len({PLANTED.train.ids, PLANTED.val.ids, PLANTED.test.ids}) == 3


def test_targets_are_indices_into_the_class_names() -> None:
    assert [PLANTED.split(split).targets.tolist() for split in SPLITS] == [[1, 0], [1], [0, 1]]
    assert PLANTED.val.targets.dtype == np.int64


def test_a_split_without_images_has_empty_rows_and_targets() -> None:
    empty = Samples.of(NAMES, ())
    assert empty.val.rows.shape == empty.val.targets.shape == (0,)
    assert empty.val.rows.dtype == empty.val.targets.dtype == np.int64


def test_a_split_has_the_ids_sources_and_groups_of_its_rows() -> None:
    test = PLANTED.test
    assert (len(test), test.ids) == (2, ("b", "f"))
    assert (test.sources.tolist(), test.groups.tolist()) == (["street", "street"], ["2", "2"])
    assert PLANTED.labels[test.rows].tolist() == ["truck", "car"]


def test_other_splits_can_be_assigned() -> None:
    moved = PLANTED.with_splits(np.array(["val", "test", "", "train", "val", "test"]))
    assert [moved.split(split).rows.tolist() for split in SPLITS] == [[3], [0, 4], [1, 5]]
    assert moved != PLANTED
    assert PLANTED.test.rows.tolist() == [1, 5]  # the samples themselves stay as they are


def test_ids_keep_the_order_and_those_excluded() -> None:
    assert PLANTED.ids == ("a", "b", "c", "d", "e", "f")


def test_samples_come_back_from_disk(tmp_path: Path) -> None:
    unusual = Samples.of(
        ("caminhão", "a,b"), (Sample("x", "a,b", 'the "yard"', "1", "", "duplicate of y,\nbut smaller"),)
    )
    for samples in (PLANTED, unusual):
        save_samples(samples, tmp_path)
        assert load_samples(tmp_path) == samples


def one(**changes: str) -> Sample:
    return Sample(**{"id": "abc", "label": "car", "source": "yard", "group": "7", "split": "train", **changes})


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match="image abc has class 'lorry', not one of truck, car"):
        Samples.of(NAMES, (one(label="lorry"),))


def test_a_split_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match="image abc has split 'tets', not one of train, val, test"):
        Samples.of(NAMES, (one(split="tets"),))


def test_a_group_in_two_splits_is_refused() -> None:
    with pytest.raises(DataError, match="group 7 is in two splits: train and test"):
        Samples.of(NAMES, (one(), one(id="abd", split=""), one(id="abe", split="test")))
