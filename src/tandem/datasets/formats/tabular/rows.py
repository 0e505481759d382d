"""The rows of a table as text: of a CSV file as people write it, or of JSON lines, as of Hugging Face's imagefolder."""

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tandem.datasets.formats.text import load_text, shorten
from tandem.errors import DataError

TableRow = tuple[int, list[str]]  # number of the line, cells

_JSON_LINES = (".jsonl", ".ndjson")
_STATED_SEPARATOR = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)  # a first line that Excel reads and writes


def is_table(path: Path) -> bool:
    """Whether a file is one by its suffix."""
    return path.suffix.lower() in (".csv", ".tsv", *_JSON_LINES)


def load_rows(path: Path) -> list[TableRow]:
    """Lines that are not blank, the header first. Raises DataError for an open quote and what is no object of JSON."""
    return _of_json_lines(path) if path.suffix.lower() in _JSON_LINES else _of_csv(path)


def plain_name(column: str) -> str:
    """A column's name as such names are compared: `Image_ID` is `imageid`."""
    return "".join(char for char in column.casefold() if char.isalnum())


def _of_csv(path: Path) -> list[TableRow]:
    text = load_text(path)
    head = next((line.strip() for line in io.StringIO(text, newline=None) if line.strip()), "")
    stated = _STATED_SEPARATOR.fullmatch(head)
    separator = stated[1] if stated else max(",;\t|", key=head.count)
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=separator, skipinitialspace=True, strict=True)
    number, lines = 0, list[TableRow]()
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


def _of_json_lines(path: Path) -> list[TableRow]:
    """The keys of all lines are the columns. What is no text, number or truth value is a cell of JSON."""
    objects = list[tuple[int, dict[str, Any]]]()
    for number, line in enumerate(load_text(path).splitlines(), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                raise DataError(f"{path}, line {number} is no object of JSON: {shorten(line)}; correct or remove it")
            objects.append((number, value))
    columns = list(dict.fromkeys(key for _, value in objects for key in value))
    return [(0, columns), *((number, [_cell(value.get(key)) for key in columns]) for number, value in objects)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_nested(cell: str) -> bool:
    """Whether a cell is JSON that holds an object, as of tools that write all that they know of an image into one."""
    if not cell.startswith(("{", "[")):
        return False
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return False
    return any(isinstance(each, dict) for each in (value if isinstance(value, list) else [value]))


def cells_by_column(header: Sequence[str], lines: Sequence[TableRow]) -> list[tuple[int, dict[str, str]]]:
    """Number of the line and cells by column; a row that is short lacks the last ones."""
    return [(number, dict(zip(header, cells, strict=False))) for number, cells in lines]
