"""Columns of 0 and 1: which of them are classes."""

import pytest

from tandem.datasets.formats.tabular.class_columns import class_columns, flagged, is_flag_column


def table(header, *rows):
    return [dict(zip(header.split(), row.split(","), strict=True)) for row in rows]


@pytest.mark.parametrize("column", ["0 1", "0.0 1.0", "True False", "TRUE FALSE", "1 ", "0 "])
def test_columns_of_flags_are_known_as_tools_write_them(column):
    assert is_flag_column([{"a": cell} for cell in column.split(" ")], "a")


@pytest.mark.parametrize("column", ["2 1", "yes no", " ", "0.5 1", "-1 1"])
def test_other_columns_are_none(column):
    assert not is_flag_column([{"a": cell} for cell in column.split(" ")], "a")


def test_a_blank_or_missing_cell_is_zero():
    assert flagged({"a": "", "b": "TRUE"}, ["a", "b", "c"]) == ["b"]


def test_one_class_a_row_is_sure_and_splits_and_attributes_are_left_out():
    rows = table("car bus is_train occluded", "1,0,1,0", "0,1,0,0", "1,0,1,1")
    assert class_columns(rows, ["car", "bus"]) == (["car", "bus"], True)
    assert class_columns(rows, ["car", "bus", "is_train", "occluded"]) == (["car", "bus"], True)


def test_classes_may_be_called_as_splits_and_attributes():
    rows = table("train car", "1,0", "0,1")
    assert class_columns(rows, ["train", "car"]) == (["train", "car"], True)


def test_columns_of_which_rows_have_any_number_are_not_sure():
    rows = table("night blurry", "1,1", "0,0", "1,0")
    assert class_columns(rows, ["night", "blurry"]) == (["night", "blurry"], False)
