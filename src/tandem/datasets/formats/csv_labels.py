"""Tables of labels, in CSV files or JSON lines: a column names the image, another its label, as in many sets of Kaggle.

Also Roboflow's multi-class `_classes.csv`, with a column of 0 and 1 for each class, and tables of boxes.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import (
    NO_BOX,
    NO_IMAGE,
    Annotation,
    bad_annotation,
    boxed,
    in_order,
    mark_missing,
)
from tandem.datasets.formats.class_folders import is_split_or_container
from tandem.datasets.formats.image_files import ImageFiles, is_hidden, path_ends, size_in_pixels
from tandem.datasets.formats.tabular.box_columns import BoxColumns, box_columns, box_reader, is_blank_box
from tandem.datasets.formats.tabular.class_columns import class_columns, flagged, is_flag_column
from tandem.datasets.formats.tabular.rows import cells_by_column, is_nested, is_table, load_rows, plain_name
from tandem.datasets.formats.text import first_names, shorten
from tandem.errors import DataError
from tandem.images.signatures import IMAGE_SUFFIXES

_IMAGE_COLUMNS = frozenset((
    "id", "image", "imageid", "imagename", "imagefile", "imagepath", "img", "imgid", "imgname", "imgpath", "file",
    "filename", "filepath", "filepaths", "fname", "path", "name", "photo", "photoid", "picture",
))  # fmt: skip
_LABEL_COLUMNS = (
    "classname",  # beside numbers in `class` or `label`
    "labelname",
    "categoryname",
    "label",
    "labels",
    "class",
    "category",
    "target",
    "breed",
    "species",
    "diagnosis",
    "dx",
    "choice",
)
# Of splits, files and photographs, beside class folders or a table of labels.
_ABOUT_IMAGES = frozenset((
    "split", "subset", "fold", "partition", "phase", "usage", "width", "height", "size", "filesize", "bytes", "hash",
    "md5", "sha1", "sha256", "url", "imageurl", "license", "date", "time", "timestamp", "caption", "description",
    "predictionstring", "encodedpixels", "text", "prompt", "title",
))  # fmt: skip
_FEW_VALUES = 3  # rows of small tables may all differ
_TRIED = 100  # rows that are looked at to find the column of images
_OF_VIA = frozenset(("regionshapeattributes", "regionattributes"))  # cells of JSON, see foreign_layout


class _Table(NamedTuple):
    """rows: (number of the line, cells by column). label: None where each of `flags` is a class, marked by 0 or 1.

    is_sure: whether these are labels by their column's name, or by one 1 in nearly each row. boxes: None without any.
    too_long: what is wrong with lines of more cells than there are columns, which are none of `rows`.
    """

    path: Path
    rows: Sequence[tuple[int, dict[str, str]]]
    image: str
    label: str | None
    flags: Sequence[str]
    is_sure: bool
    boxes: BoxColumns | None = None
    too_long: Mapping[int, str] = MappingProxyType({})


def matches(root: Path) -> bool:
    """Whether a CSV file names images of the folder and their labels, or one cannot be read at all."""
    try:
        return any(_tables(root, ImageFiles(root)))
    except DataError:
        return True


def read(root: Path) -> list[Annotation]:
    """One annotation a row, one with label "" for an image that no row names; by path, then box. Nothing is opened.

    A row whose image is missing is an annotation that says so. Raises DataError for a table without a column of images
    or of labels, and for one that cannot be read.
    """
    images = ImageFiles(root)
    tables = list(_tables(root, images))
    if not tables:
        raise DataError(
            f"{root}: no CSV file has a column with the names of the images and one with their labels; name the "
            "columns `filename` and `label`"
        )
    found = [mark_missing(each) for table in tables for each in _of_table(root, table, images)]
    named = {each.path for each in found}
    where = first_names([table.path.name for table in tables])
    rest = [Annotation(path, "", detail=f"no row of {where} names it") for path in images.paths if path not in named]
    return in_order([*found, *rest])


def guessed_columns(root: Path) -> dict[str, Sequence[str]]:
    """Table -> the columns that are taken for labels for want of others; none where a table says that it has labels.

    Of images in class folders they are what else is known of them. Raises DataError as read does.
    """
    tables = list(_tables(root, ImageFiles(root)))
    if any(table.is_sure for table in tables):
        return {}
    return {table.path.relative_to(root).as_posix(): table.flags or [table.label or ""] for table in tables}


def _tables(root: Path, images: ImageFiles) -> Iterator[_Table]:
    """Raises DataError where a table names images, none has a column of labels for sure, and other columns are many."""
    unclear: _Table | tuple[()] | None = None
    for path in files.list_files(root):
        is_read = is_table(path) and not is_hidden(path.relative_to(root)) and "submission" not in path.name.lower()
        table = _table(path, images) if is_read and images.paths else None
        if table and (table.label or table.flags):
            yield table
            unclear = ()
        elif table and unclear is None:
            unclear = table
    if unclear:
        others = first_names([name for name in unclear.rows[0][1] if name != unclear.image], most=8)
        raise DataError(
            f"{unclear.path}: the column {shorten(unclear.image)} names images, but which of {others} holds their "
            "labels? Call it `label`"
        )


def _table(path: Path, images: ImageFiles) -> _Table | None:
    """None for a table of other things."""
    (_, header), *lines = load_rows(path) or [(0, [])]
    too_long = {
        number: f"has {len(cells)} cells, and {len(header)} columns have names"
        for number, cells in lines
        if any(cells[len(header) :])
    }
    rows = cells_by_column(header, [line for line in lines if line[0] not in too_long])
    if any(PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES and images.named(cell) for cell in header):
        raise DataError(
            f"{path} begins with a row, not with the names of its columns; add a line such as filename,label"
        )
    image = _image_column(header, rows, images)
    if image is None or any(plain_name(name) in _OF_VIA for name in header):
        return None
    if twice := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise DataError(f"{path} has two columns {shorten(twice[0])}; give each its own name")
    boxes = box_columns(path, (name for name in header if name != image))
    others = [name for name in header if name and name != image and name not in (boxes.used if boxes else ())]
    table = _Table(path, rows, image, None, (), is_sure=False, too_long=too_long)
    label = next((name for wanted in _LABEL_COLUMNS for name in others if plain_name(name) == wanted), None)
    if label:
        _require_labels(path, label, rows)
        return table._replace(label=label, is_sure=True, boxes=boxes)
    cells = [row for _, row in rows]
    flags = [name for name in others if is_flag_column(cells, name)]
    if path.name == "_classes.csv":
        return table._replace(flags=flags, is_sure=True)
    if len(flags) >= 2:
        classes, is_one_each = class_columns(cells, flags)
        return table._replace(flags=classes, is_sure=is_one_each)
    if len(others) == 1 and not _is_about_images(others[0], rows):
        return table._replace(label=others[0], is_sure=boxes is not None, boxes=boxes)
    return table if others else None


def _require_labels(path: Path, label: str, rows: Sequence[tuple[int, dict[str, str]]]) -> None:
    """Raise DataError for a column of JSON, as of Label Studio's export of boxes."""
    if nested := next((number for number, row in rows if is_nested(row.get(label, ""))), None):
        raise DataError(
            f"{path}, line {nested}: the column {shorten(label)} holds JSON, as of Label Studio, and no label; "
            "export it as COCO, YOLO or Pascal VOC, or name another column `label`"
        )


def _is_about_images(name: str, rows: Sequence[tuple[int, dict[str, str]]]) -> bool:
    """Whether a column that no name makes one of labels holds none: a split, a size, or nearly a value a row."""
    values = [row.get(name, "") for _, row in rows]
    are_objects = any(map(is_nested, values))
    is_distinct = len(set(values)) > max(_FEW_VALUES, len(values) // 2)
    return (
        plain_name(name) in _ABOUT_IMAGES
        or are_objects
        or is_distinct
        or all(map(is_split_or_container, filter(None, values)))
    )


def _image_column(header: Sequence[str], rows: Sequence[tuple[int, dict[str, str]]], images: ImageFiles) -> str | None:
    """The first column whose values are images of the source, those with the usual names before others."""
    tried = [row for _, row in rows[:_TRIED]]
    for name in sorted(header, key=lambda name: plain_name(name) not in _IMAGE_COLUMNS):
        known = sum(any(images.named(end) for end in path_ends(row.get(name, ""))) for row in tried)
        if tried and 2 * known >= len(tried):
            return name
    return None


def _of_table(root: Path, table: _Table, images: ImageFiles) -> Iterator[Annotation]:
    folder, stem = table.path.parent.relative_to(root), table.path.stem
    below = ("", stem, f"{stem}_images", f"images/{stem}", "images", "data")
    near = ["" if folder / name == Path() else (folder / name).as_posix() for name in below]
    own = table.path.relative_to(root).as_posix()
    for line, what in table.too_long.items():
        yield bad_annotation(own, f"{table.path}, line {line} {what}")
    found = list[tuple[str, str, dict[str, str]]]()  # image, where, row
    for line, row in table.rows:
        where, name = f"{table.path}, line {line}", row.get(table.image, "")
        if path := images.resolve(name, near=near):
            found.append((path, where, row))
        else:
            what = f"{where}: the image {shorten(name)}"
            yield _without_image(f"{own}:{line}", _labels(table, row), what, images.named(name))
    if table.boxes:
        yield from _of_boxes(root, table, table.boxes, found)
        return
    for path, where, row in found:
        for label in _labels(table, row) or [""]:
            yield Annotation(path, label, detail=where if label else f"{where} has no label")


def _labels(table: _Table, row: dict[str, str]) -> list[str]:
    if table.label is None:
        return flagged(row, table.flags)
    cell = row.get(table.label, "")
    return _listed(cell) or [cell] if cell else []


def _listed(cell: str) -> list[str]:
    """The texts of a list as Python or JSON writes it, such as "['Car', 'Bus']"; none of other cells."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return []
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return value if isinstance(value, list) and all(isinstance(each, str) and each for each in value) else []


def _of_boxes(
    root: Path, table: _Table, of: BoxColumns, found: Sequence[tuple[str, str, dict[str, str]]]
) -> Iterator[Annotation]:
    """Of rows of a table of boxes; a row that states none labels its image, where no other row of it has one."""
    size = cache(size_in_pixels)

    def size_of(path: str) -> Callable[[object, object], tuple[object, object]]:
        return lambda width, height: size(width, height, root / path)

    boxes = [(path, where, row) for path, where, row in found if _labels(table, row) and not is_blank_box(row, of)]
    reader = box_reader(table.path, ((row, size_of(path)) for path, _, row in boxes), of)
    with_box = {path for path, *_ in boxes}
    for path, where, row in found:
        label = ", ".join(_labels(table, row))
        if not label:
            yield Annotation(path, "", detail=f"{where} has no label")
        elif not is_blank_box(row, of):
            yield boxed(path, label, reader.box(row, size_of(path)), where=where)
        elif path in with_box:
            yield Annotation(path, label, None, NO_BOX, f"{where} has no box, others of the image have")
        else:
            yield Annotation(path, label, detail=where)


def _without_image(place: str, labels: Sequence[str], what: str, several: Sequence[str]) -> Annotation:
    if several:
        return bad_annotation(
            place.rpartition(":")[0], f"{what} could be {first_names(several)}; write its path into the table"
        )
    return Annotation(place, ", ".join(labels), None, NO_IMAGE, f"{what} is not there")
