"""The columns of a table that state a box, by the names and the numbers that people give them.

Four columns: edges (`xmin, ymin, xmax, ymax`), a corner or a center with sides (`x, y, w, h`; `cx, cy, w, h`), or one
column of four numbers (`bbox`: `[x, y, w, h]`). In pixels, or in fractions of the image's sides.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tandem.datasets.formats.annotations import Box, are_fractions, pixel_box
from tandem.datasets.formats.tabular.rows import plain_name
from tandem.datasets.formats.text import first_names, shorten
from tandem.errors import DataError

Meaning = Literal["left, top, right, bottom", "left, top, width, height", "center and sides"]
Size = tuple[object, object]
EDGES: Meaning = "left, top, right, bottom"
CORNER: Meaning = "left, top, width, height"
CENTER: Meaning = "center and sides"

_LEFT, _TOP = ("xmin", "x1", "left", "xtl", "minx", "xstart"), ("ymin", "y1", "top", "ytl", "miny", "ystart")
_RIGHT, _BOTTOM = ("xmax", "x2", "right", "xbr", "maxx", "xend"), ("ymax", "y2", "bottom", "ybr", "maxy", "yend")
_WIDTH, _HEIGHT = ("w", "width"), ("h", "height")
# The first of these that a table has all of; what may be meant by them, the usual first.
_FOURS: Sequence[tuple[Sequence[Sequence[str]], Sequence[Meaning]]] = (
    ((("x0",), ("y0",), ("x1",), ("y1",)), (EDGES,)),
    ((_LEFT, _TOP, _RIGHT, _BOTTOM), (EDGES,)),
    ((_LEFT, _TOP, _WIDTH, _HEIGHT), (CORNER,)),
    ((("x",), ("y",), _WIDTH, _HEIGHT), (CORNER, CENTER)),
    (
        (("cx", "xc", "xcenter", "centerx", "xcentre"), ("cy", "yc", "ycenter", "centery", "ycentre"), _WIDTH, _HEIGHT),
        (CENTER,),
    ),
)
_CELLS = ("bbox", "box", "boundingbox", "bboxes", "boxes", "boundingboxes")
_IMAGE_SIDES = (("imagewidth", "imgwidth", "imgw", "width"), ("imageheight", "imgheight", "imgh", "height"))
_PREFIX = re.compile(r"^(?:bbox|boundingbox|box|roi|rect)(?=.)")
_TELLING = frozenset(("xmin", "ymin", "xmax", "ymax", "x1", "y1", "x2", "y2", "cx", "cy", "xcenter", "ycenter"))
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf", re.IGNORECASE)
_BLANK = frozenset(("", "nan", "none", "null", "na", "[]"))
_SLACK = 0.02  # of a side, by which boxes may reach beyond the edge


class BoxColumns(NamedTuple):
    """columns: four, or one whose cells hold four numbers. sides: the columns of the image's size, "" where unstated.

    meanings: what the four may be, the usual first.
    """

    columns: tuple[str, ...]
    sides: tuple[str, str]
    meanings: Sequence[Meaning]

    @property
    def used(self) -> frozenset[str]:
        """All columns that say something about boxes."""
        return frozenset((*self.columns, *self.sides)) - {""}


class BoxReader(NamedTuple):
    """Boxes of the rows of one table."""

    of: BoxColumns
    meaning: Meaning
    is_in_fractions: bool

    def box(self, row: Mapping[str, str], size_of: Callable[[object, object], Size]) -> Box | str | None:
        """The box of a row; None where nothing of it lies in the image, a text where it is none (see boxed).

        size_of: of the image in pixels, from what the row states of it.
        """
        numbers = _numbers(row, self.of)
        size = (1, 1) if self.is_in_fractions else size_of(*(row.get(side, "") for side in self.of.sides))
        try:
            return pixel_box(_edges(numbers, self.meaning), width=size[0], height=size[1])
        except (ValueError, OverflowError):
            shown = shorten(numbers or [row.get(name, "") for name in self.of.columns])
            return f"has box {shown} in an image of {' x '.join(str(side)[:20] for side in size)} pixels"


def box_columns(path: Path, header: Iterable[str]) -> BoxColumns | None:
    """The columns of boxes of a table, None where it has none. Raises DataError for some of a box, but not all."""
    named = {plain_name(name): name for name in header if name}
    bare = named | {_PREFIX.sub("", plain): name for plain, name in named.items() if _PREFIX.match(plain)}
    for wanted, meanings in _FOURS:
        found = [next((bare[each] for each in names if each in bare), "") for names in wanted]
        if all(found):
            return BoxColumns(tuple(found), _sides(named, found), meanings)
    if cell := next((named[name] for name in _CELLS if name in named), ""):
        return BoxColumns((cell,), _sides(named, [cell]), (CORNER, EDGES))
    if some := [name for plain, name in bare.items() if plain in _TELLING]:
        raise DataError(
            f"{path} has {first_names(some)} like a table of boxes, but no four columns that are known; name them "
            "xmin, ymin, xmax, ymax, or x, y, w, h"
        )
    return None


def is_blank_box(row: Mapping[str, str], of: BoxColumns) -> bool:
    """Whether a row states no box at all."""
    return all(row.get(name, "").casefold() in _BLANK for name in of.columns)


def box_reader(
    path: Path, rows: Iterable[tuple[Mapping[str, str], Callable[[object, object], Size]]], of: BoxColumns
) -> BoxReader:
    """How all rows of a table are read. rows: with the function that tells the size of its image, see BoxReader.box.

    Where names leave it open what the numbers are, they have to lie in their images. Raises DataError where two
    readings fit as well: numbers of one cell, and fractions called x and y.
    """
    stated = [(row, size_of, numbers) for row, size_of in rows if (numbers := _numbers(row, of))]
    is_in_fractions = are_fractions(number for *_, numbers in stated for number in numbers)
    readers = [BoxReader(of, meaning, is_in_fractions) for meaning in of.meanings]
    if len(readers) == 1:
        return readers[0]
    misfits = [sum(not _fits(reader, *each) for each in stated) for reader in readers]
    best = min(misfits)
    if misfits.count(best) > 1 and stated and (is_in_fractions or len(of.columns) == 1):
        raise DataError(
            f"{path}: {first_names(of.columns, most=4)} could be {' or '.join(of.meanings)}; name four columns xmin, "
            "ymin, xmax, ymax, or left, top, width, height, or cx, cy, w, h"
        )
    return readers[misfits.index(best)]


def _sides(named: Mapping[str, str], of_box: Sequence[str]) -> tuple[str, str]:
    width, height = (
        next((named[each] for each in names if each in named and named[each] not in of_box), "")
        for names in _IMAGE_SIDES
    )
    return (width, height) if width and height else ("", "")


def _numbers(row: Mapping[str, str], of: BoxColumns) -> list[str]:
    """Four texts; none of a cell that has another number of them."""
    if len(of.columns) > 1:
        return [row.get(name, "") for name in of.columns]
    numbers = _NUMBER.findall(row.get(of.columns[0], ""))
    return numbers if len(numbers) == len(_FOURS[0][0]) else []


def _edges(numbers: Sequence[str], meaning: Meaning) -> list[float]:
    """Raises ValueError for what is no number, and for sides below 0."""
    first, second, third, fourth = map(float, numbers)
    if meaning == EDGES:
        return [first, second, third, fourth]
    if third < 0 or fourth < 0:
        raise ValueError("sides below 0")
    if meaning == CENTER:
        first, second = first - third / 2, second - fourth / 2
    return [first, second, first + third, second + fourth]


def _fits(
    reader: BoxReader, row: Mapping[str, str], size_of: Callable[[object, object], Size], numbers: Sequence[str]
) -> bool:
    """Whether the numbers of a row, read so, are a box that lies in the image."""
    try:
        size = (1, 1) if reader.is_in_fractions else size_of(*(row.get(side, "") for side in reader.of.sides))
        width, height = (float(str(side)) for side in size)
        left, top, right, bottom = _edges(numbers, reader.meaning)
    except (ValueError, OverflowError):
        return False
    inside = all(
        -_SLACK * side <= edge <= (1 + _SLACK) * side
        for edges, side in (((left, right), width), ((top, bottom), height))
        for edge in edges
    )
    return inside and right > left and bottom > top
