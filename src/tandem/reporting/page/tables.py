"""Tables of the page: texts in rows, some with a bar or a shade beside the number; and how numbers are written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_MANY_COLUMNS = 10
NOTHING = "–"  # a number that there is not


class Cell(NamedTuple):
    """shade: in [0, 1], of the background, None for none. parts: style -> fraction of a bar. span: low, value, high."""

    text: str
    shade: float | None = None
    parts: Mapping[str, float] | None = None
    span: tuple[float, float, float] | None = None
    is_strong: bool = False


Row = list[str | Cell]


@dataclass(frozen=True)
class Table:
    """Of head, rows and foot, whose first cells name them.

    source: the files that its numbers are from; those in a folder lie where the stages write, others among the metrics.
    text_columns: those that hold words, not numbers; the first one always does.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    source: str
    foot: Sequence[str | Cell] = ()
    text_columns: frozenset[int] = frozenset()
    note: str = ""

    @property
    def is_wide(self) -> bool:
        """Whether its columns are so many that their names are to stand upright."""
        return len(self.head) > _MANY_COLUMNS

    @property
    def files(self) -> list[str]:
        """Of source."""
        return self.source.split(", ")

    @property
    def lines(self) -> list[list[Cell]]:
        """The rows, cells all."""
        return [_cells(row) for row in self.rows]

    @property
    def foot_cells(self) -> list[Cell]:
        """The last line, [] for none."""
        return _cells(self.foot)


def number(value: float | None, *, digits: int = 3) -> str:
    """With so many digits after the point, NOTHING for none and for nan."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def count(value: float) -> str:
    """A whole number, its thousands apart."""
    return f"{value:,.0f}".replace(",", "\u202f")


def counted(value: float, one: str, many: str = "") -> str:
    """Such as "1 pair" and "2 pairs"; many: where that is not one with an s."""
    return f"{count(value)} {one if value == 1 else many or f'{one}s'}"


def interval(bounds: Mapping[str, Any]) -> str:
    """Of "low" and "high"."""
    return f"{number(bounds['low'])} to {number(bounds['high'])}"


def signed(value: float) -> str:
    """With its sign, the minus as it is printed."""
    return NOTHING if math.isnan(value) else f"{value:+.3f}".replace("-", "\u2212")


def file_size(num_bytes: int) -> str:
    """In kB or MB."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 100_000 else f"{num_bytes / 1e3:.1f} kB"


def names(each: Sequence[str], *, at_most: int = 5) -> str:
    """Joined by commas, and how many more there are."""
    shown = ", ".join(each[:at_most])
    return f"{shown} and {len(each) - at_most} more" if len(each) > at_most else shown


def _cells(row: Sequence[str | Cell]) -> list[Cell]:
    return [each if isinstance(each, Cell) else Cell(each) for each in row]
