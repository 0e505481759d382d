"""Tables of labels in CSV files: a column names the image, another its label, as in many sets of Kaggle.

Also Roboflow's multi-class `_classes.csv`, with a column of 0 and 1 for each class, and tables of boxes in pixels.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import NO_IMAGE, Annotation, Box, are_fractions, boxed, in_order, pixel_box
from tandem.datasets.formats.class_folders import is_split_or_container
from tandem.datasets.formats.image_files import ImageFiles, is_hidden, path_ends, size_in_pixels
from tandem.datasets.formats.text import first_names, load_text, shorten
from tandem.errors import DataError
from tandem.images.signatures import IMAGE_SUFFIXES

_IMAGE_COLUMNS = frozenset((
    "id", "image", "imageid", "imagename", "imagefile", "imagepath", "img", "imgid", "imgname", "imgpath", "file",
    "filename", "filepath", "filepaths", "fname", "path", "name", "photo", "photoid", "picture",
))  # fmt: skip
_LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "classname",
    "category",
    "target",
    "labelname",
    "breed",
    "species",
    "diagnosis",
    "dx",
)
# Of splits, files and photographs, beside class folders or a table of labels.
_ABOUT_IMAGES = frozenset((
    "split", "subset", "fold", "partition", "phase", "usage", "width", "height", "size", "filesize", "bytes", "hash",
    "md5", "sha1", "sha256", "url", "imageurl", "license", "date", "time", "timestamp", "caption", "description",
))  # fmt: skip
_FEW_VALUES = 3  # rows of small tables may all differ
# Of boxes: the names of each column, of which a table without a width and height of its images has the first four.
_BOX_COLUMNS = (
    ("xmin", "x1", "left"), ("ymin", "y1", "top"), ("xmax", "x2", "right"), ("ymax", "y2", "bottom"),
    ("width", "imagewidth", "imgwidth"), ("height", "imageheight", "imgheight"),
)  # fmt: skip
_TRIED = 100  # rows that are looked at to find the column of images
# Of one column a class; pandas writes the second and third.
_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "False": False, "True": True}
_STATED_SEPARATOR = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)  # a first line that Excel reads and writes


class _Table(NamedTuple):
    """rows: (number of the line, cells by column). label: None where each of `flags` is a class, marked by 0 or 1."""

    path: Path
    rows: Sequence[tuple[int, dict[str, str]]]
    image: str
    label: str | None
    flags: Sequence[str]


def matches(root: Path) -> bool:
    """Whether a CSV file names images of the folder and their labels, or one cannot be read at all."""
    try:
        return any(_tables(root, ImageFiles(root)))
    except DataError:
        return True


def read(root: Path) -> list[Annotation]:
    """One annotation a row, one with label "" for an image that no row names; by path, then box. Nothing is opened.

    A row whose image is missing is an annotation that says so. Raises DataError for an image with two labels in two
    rows, and for a table without a column of images or of labels.
    """
    images = ImageFiles(root)
    tables = list(_tables(root, images))
    if not tables:
        raise DataError(
            f"{root}: no CSV file has a column with the names of the images and one with their labels; name the "
            "columns `filename` and `label`"
        )
    found = [each for table in tables for each in _of_table(root, table, images)]
    _require_one_label(found)
    named = {each.path for each in found}
    where = first_names([table.path.name for table in tables])
    rest = [Annotation(path, "", detail=f"no row of {where} names it") for path in images.paths if path not in named]
    return in_order([*found, *rest])


def _tables(root: Path, images: ImageFiles) -> Iterator[_Table]:
    """Raises DataError where a table names images, none has a column of labels for sure, and other columns are many."""
    unclear: _Table | tuple[()] | None = None
    for path in files.list_files(root):
        is_csv = path.suffix.lower() in (".csv", ".tsv") and not is_hidden(path.relative_to(root))
        table = _table(path, images) if is_csv and images.paths and "submission" not in path.name.lower() else None
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


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(number of the line, cells) of lines that are not blank, the header first. Raises DataError for an open quote."""
    text = load_text(path)
    head = next((line.strip() for line in io.StringIO(text, newline=None) if line.strip()), "")
    stated = _STATED_SEPARATOR.fullmatch(head)
    separator = stated[1] if stated else max(",;\t|", key=head.count)
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=separator, skipinitialspace=True, strict=True)
    number, lines = 0, list[tuple[int, list[str]]]()
    try:
        for row in reader:
            number, cells = reader.line_num, [cell.strip() for cell in row]
            lines += [(number, cells)] if any(cells) else []
    except csv.Error as error:
        raise DataError(
            f"{path} is not a CSV file: the row that begins in line {number + 1} cannot be read ({error}); a quote may "
            "be open, correct it"
        ) from None
    return lines[1:] if stated else lines


def _table(path: Path, images: ImageFiles) -> _Table | None:
    """None for a table of other things."""
    (_, header), *lines = _lines(path) or [(0, [])]
    rows = [(number, dict(zip(header, cells, strict=False))) for number, cells in lines]
    if any(PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES and images.named(cell) for cell in header):
        raise DataError(
            f"{path} begins with a row, not with the names of its columns; add a line such as filename,label"
        )
    image = _image_column(header, rows, images)
    if image is None:
        return None
    if longer := [(number, cells) for number, cells in lines if any(cells[len(header) :])]:
        number, cells = longer[0]
        raise DataError(
            f"{path}, line {number} has {len(cells)} cells, and {len(header)} columns have names; put a cell that "
            "holds the separator into quotes, or name its column"
        )
    if twice := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise DataError(f"{path} has two columns {shorten(twice[0])}; give each its own name")
    others = [name for name in header if name and name != image]
    label = next((name for wanted in _LABEL_COLUMNS for name in others if _plain(name) == wanted), None)
    flags = [name for name in others if all(row.get(name) in _FLAGS for _, row in rows)]
    if path.name == "_classes.csv" or (label is None and len(flags) >= 2):
        return _Table(path, rows, image, None, flags)
    if label is None and len(others) == 1 and not _is_about_images(others[0], rows):
        label = others[0]
    return _Table(path, rows, image, label, ()) if others else None


def _is_about_images(name: str, rows: Sequence[tuple[int, dict[str, str]]]) -> bool:
    """Whether a column that no name makes one of labels holds none: a split, a size, or nearly a value a row."""
    values = [row.get(name, "") for _, row in rows]
    is_distinct = len(set(values)) > max(_FEW_VALUES, len(values) // 2)
    return _plain(name) in _ABOUT_IMAGES or is_distinct or all(map(is_split_or_container, filter(None, values)))


def _image_column(header: Sequence[str], rows: Sequence[tuple[int, dict[str, str]]], images: ImageFiles) -> str | None:
    """The first column whose values are images of the source, those with the usual names before others."""
    tried = [row for _, row in rows[:_TRIED]]
    for name in sorted(header, key=lambda name: _plain(name) not in _IMAGE_COLUMNS):
        known = sum(any(images.named(end) for end in path_ends(row.get(name, ""))) for row in tried)
        if tried and 2 * known >= len(tried):
            return name
    return None


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _of_table(root: Path, table: _Table, images: ImageFiles) -> Iterator[Annotation]:
    folder, stem = table.path.parent.relative_to(root), table.path.stem
    below = ("", stem, f"{stem}_images", f"images/{stem}", "images", "data")
    near = ["" if folder / name == Path() else (folder / name).as_posix() for name in below]
    edges, size_of = _edges(table), cache(size_in_pixels)
    _require_pixels(table, edges)
    for line, row in table.rows:
        where, name = f"{table.path}, line {line}", row.get(table.image, "")
        labels = [flag for flag in table.flags if _FLAGS[row[flag]]] if table.label is None else [row.get(table.label)]
        path = images.resolve(name, near=near)
        if path is None:
            place = f"{table.path.relative_to(root).as_posix()}:{line}"
            yield _without_image(place, labels, f"{where}: the image {shorten(name)}", images.named(name))
            continue
        for label in labels or [""]:
            if edges and label:
                size = size_of(row.get(edges[4], ""), row.get(edges[5], ""), root / path)
                yield boxed(path, label, _box(row, edges, size), where=where)
            else:
                yield Annotation(path, label or "", detail=where if label else f"{where} has no label")


def _without_image(place: str, labels: Sequence[str | None], what: str, several: Sequence[str]) -> Annotation:
    if several:
        raise DataError(f"{what} could be {first_names(several)}; write its path into the table")
    return Annotation(place, ", ".join(label for label in labels if label), None, NO_IMAGE, f"{what} is not there")


def _edges(table: _Table) -> list[str]:
    """The columns of _BOX_COLUMNS in a table of boxes, "" for a side that is not stated; none of another table."""
    column = {_plain(name): name for name in (table.rows[0][1] if table.rows else ())}
    found = [next((column[name] for name in names if name in column), "") for names in _BOX_COLUMNS]
    return found if table.label is not None and all(found[:4]) else []


def _box(row: dict[str, str], edges: Sequence[str], size: tuple[object, object]) -> Box | str | None:
    values = [row.get(name, "") for name in edges[:4]]
    try:
        return pixel_box(values, width=size[0], height=size[1])
    except (ValueError, OverflowError):
        return f"has box {shorten(values)} in an image of {' x '.join(str(side)[:20] for side in size)} pixels"


def _require_pixels(table: _Table, edges: Sequence[str]) -> None:
    values = [row[name] for _, row in table.rows for name in edges[:4] if row.get(name)]
    if values and are_fractions(values):
        raise DataError(
            f"{table.path}: no box reaches beyond 1, so they look like fractions; state boxes in pixels: multiply them "
            "by the image's width and height"
        )


def _require_one_label(annotations: Sequence[Annotation]) -> None:
    """Raise DataError for an image without boxes that two rows give two labels."""
    first: dict[str, Annotation] = {}
    for each in annotations:
        other = first.setdefault(each.path, each)
        if each.box is None and not each.reason and other.label != each.label and other.detail != each.detail:
            raise DataError(
                f"{each.path!r} has two labels: {other.label!r} ({other.detail}) and {each.label!r} ({each.detail}); "
                "keep the row that is right"
            )
