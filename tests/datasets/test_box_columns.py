"""Boxes of tables by the names and numbers that people give them, each the same planted box."""

from pathlib import Path

import pytest

from tandem.datasets.formats.annotations import Box
from tandem.datasets.formats.tabular.box_columns import box_columns, box_reader, is_blank_box
from tandem.errors import DataError

PATH = Path("boxes.csv")
SIZE = (200, 100)
BOX = Box(0.25, 0.2, 0.5, 0.6)  # 50, 20 to 150, 80 px
EDGES, CORNER, CENTER = ("50", "20", "150", "80"), ("50", "20", "100", "60"), ("100", "50", "100", "60")


def boxes(header, *rows):
    """The boxes of rows of a table whose images are of SIZE."""
    columns = box_columns(PATH, header)
    table = [dict(zip(header, row, strict=True)) for row in rows]
    reader = box_reader(PATH, ((row, lambda *_: SIZE) for row in table), columns)
    return [reader.box(row, lambda *_: SIZE) for row in table]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("xmin ymin xmax ymax", EDGES),
        ("XMin YMin XMax YMax", EDGES),
        ("x1 y1 x2 y2", EDGES),
        ("x0 y0 x1 y1", EDGES),
        ("left top right bottom", EDGES),
        ("xtl ytl xbr ybr", EDGES),
        ("minX minY maxX maxY", EDGES),
        ("bbox_x1 bbox_y1 bbox_x2 bbox_y2", EDGES),
        ("Roi.X1 Roi.Y1 Roi.X2 Roi.Y2", EDGES),
        ("x y w h", CORNER),
        ("x y width height", CORNER),
        ("left top width height", CORNER),
        ("xmin ymin width height", CORNER),
        ("bbox_x bbox_y bbox_width bbox_height", CORNER),
        ("cx cy w h", CENTER),
        ("x_center y_center width height", CENTER),
    ],
)
def test_four_columns_have_many_names(header, row):
    (found,) = boxes(header.split(), row)
    assert found == pytest.approx(BOX)


@pytest.mark.parametrize("cell", ["[50, 20, 100, 60]", "50 20 100 60", "(50.0,20.0,1e2,60.)", "50;20;100;60"])
def test_one_cell_holds_four_numbers(cell):
    (found, _) = boxes(["bbox"], [cell], ["[150, 60, 20, 20]"])  # the second is no box of edges
    assert found == pytest.approx(BOX)


def test_one_cell_may_hold_edges(cell="[50, 20, 150, 80]"):
    (found, _) = boxes(["bbox"], [cell], ["[120, 70, 190, 95]"])  # the second would leave the image by sides
    assert found == pytest.approx(BOX)


def test_one_cell_that_could_be_both_is_refused():
    with pytest.raises(DataError, match=r"boxes\.csv: 'bbox' could be left, top, width, height or left, top, right, b"):
        boxes(["bbox"], ["[5, 5, 30, 30]"])


@pytest.mark.parametrize("cell", ["", "[1, 2, 3]", "[[1, 2, 3, 4], [1, 2, 3, 4]]", "none at all"])
def test_a_cell_of_another_number_of_numbers_is_no_box(cell):
    _, _, found = boxes(["bbox"], ["[50, 20, 100, 60]"], ["[150, 60, 20, 20]"], [cell])
    assert found == f"has box {[cell]!r} in an image of 200 x 100 pixels"


def test_fractions_are_told_from_pixels_and_a_center_from_a_corner_by_all_rows():
    assert boxes(["xmin", "ymin", "xmax", "ymax"], ["0.25", "0.2", "0.75", "0.8"]) == [pytest.approx(BOX)]
    at_the_edge = ["0.9", "0.9", "0.2", "0.2"]  # as a corner it would leave the image
    found = boxes(["x", "y", "w", "h"], ["0.5", "0.5", "0.5", "0.6"], at_the_edge)
    assert found == [pytest.approx(BOX), pytest.approx((0.8, 0.8, 0.2, 0.2))]
    with pytest.raises(
        DataError, match="'x', 'y', 'w', 'h' could be left, top, width, height or center and sides; name"
    ):
        boxes(["x", "y", "w", "h"], ["0.4", "0.4", "0.1", "0.1"])


def test_sides_of_the_image_are_not_those_of_the_box():
    columns = box_columns(PATH, ["width", "height", "x", "y", "bbox_width", "bbox_height"])
    assert columns.columns == ("x", "y", "bbox_width", "bbox_height")
    assert columns.sides == ("width", "height")
    assert box_columns(PATH, ["x", "y", "w", "h", "image_width", "image_height"]).sides == (
        "image_width",
        "image_height",
    )
    assert box_columns(PATH, ["x", "y", "width", "height"]).sides == ("", "")


@pytest.mark.parametrize("row", [("150", "20", "50", "80"), ("a", "1", "2", "3"), ("nan", "1", "2", "3")])
def test_impossible_numbers_say_so(row):
    _, found = boxes(["xmin", "ymin", "xmax", "ymax"], EDGES, row)
    assert found == f"has box {list(row)!r} in an image of 200 x 100 pixels"


def test_a_box_outside_the_image_is_none_of_it():
    assert boxes(["x", "y", "w", "h"], CORNER, ["300", "0", "10", "10"])[1] is None


def test_some_columns_of_a_box_are_refused_and_other_tables_have_none():
    with pytest.raises(DataError, match=r"boxes\.csv has 'xmin', 'ymin' like a table of boxes, but no four columns"):
        box_columns(PATH, ["xmin", "ymin", "label"])
    assert box_columns(PATH, ["x", "y", "label", "left"]) is None


def test_a_row_may_state_no_box():
    columns = box_columns(PATH, ["x", "y", "w", "h"])
    assert is_blank_box(dict.fromkeys("xywh", "NaN"), columns)
    assert is_blank_box({}, columns)
    assert not is_blank_box({"x": "0"}, columns)
