"""The columns of a table that are a class each, marked by 0 or 1: of Roboflow's `_classes.csv` and one-hot tables."""

from collections.abc import Mapping, Sequence

from tandem.datasets.formats.tabular.rows import plain_name
from tandem.datasets.labels import is_split_name

# As Python, pandas and Excel write them, in lower case.
_VALUES = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True, "": False}
# What tables state of an image or box beside its class; `is_train` is called as a split.
_ATTRIBUTES = frozenset(("occluded", "truncated", "groupof", "depiction", "inside", "crowd", "difficult"))
_MOST_SEVERAL = 0.05  # of the rows, that may be of no class or of several


def is_flag_column(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    """Whether all cells are 0 or 1, and not all blank, which is 0."""
    values = {row.get(column, "").casefold() for row in rows}
    return bool(values - {""}) and values <= _VALUES.keys()


def flagged(row: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """Those of the columns that are 1."""
    return [name for name in columns if _VALUES[row.get(name, "").casefold()]]


def class_columns(rows: Sequence[Mapping[str, str]], flags: Sequence[str]) -> tuple[Sequence[str], bool]:
    """The flags that are classes, and whether nearly each row is of one.

    What is called as a split, or as `occluded`, is no class where nearly each row is of one of the others.
    """
    classes = [name for name in flags if not _is_attribute(name)]
    for each in (flags, classes):
        num_others = sum(len(flagged(row, each)) != 1 for row in rows)
        if len(each) >= 2 and num_others <= _MOST_SEVERAL * len(rows):
            return each, True
    return flags, False


def _is_attribute(flag: str) -> bool:
    plain = plain_name(flag).removeprefix("is")
    return plain in _ATTRIBUTES or is_split_name(plain)
