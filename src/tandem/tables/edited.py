"""A CSV that a person may have edited: in a text editor, a spreadsheet, or through a merge of git.

By declared rule it is read as UTF-8 with or without a byte order mark, as UTF-16 with one, and each line that is not
UTF-8 as Windows-1252, which is Latin-1 with letters where that has none. Cells are separated by what separates the
names in the header: a comma, a semicolon or a tab. Columns may stand in any order. Lines without content are skipped.
All else is an error that names the file and the line: nothing that was written is left out.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tandem.errors import DataError

_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)  # which Excel writes and reads before the header
_CONFLICT_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_MAX_QUOTED = 60  # characters of a line in a message


def read_edited_csv(
    path: Path, *, columns: Sequence[str], aliases: Mapping[str, str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells, stripped, of each line below the header. aliases: other name of a column -> its name.

    Raises DataError, with path and line, for what is no such table.
    """
    lines = _lines(path)
    first = next((number for number, line in enumerate(lines) if _is_content(line)), None)
    if first is None:
        raise DataError(
            f"{path} is empty, where at least the line {','.join(columns)} is expected; restore the file from git, "
            "or write that line into it"
        )
    separator, names = _header(path, first + 1, lines[first], columns, aliases or {})
    return list(_rows(path, lines[first + 1 :], first + 2, separator=separator, names=names))


def _is_content(line: str) -> bool:
    return bool(line.strip(" \t\r\n,;")) and not _SEPARATOR_LINE.fullmatch(line.strip())


def _lines(path: Path) -> list[str]:
    """Each with its line end."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "a link to nothing" if path.is_symlink() else "no file"
        raise DataError(f"{path} is {what}, where a CSV is expected; move it away, and restore the file from git")
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            lines = list(io.StringIO(data.decode("utf-16"), newline=""))
        except UnicodeDecodeError:
            raise DataError(f"{path} begins as UTF-16 and is damaged further on; save it as CSV in UTF-8") from None
    else:
        parts = data.removeprefix(codecs.BOM_UTF8).splitlines(keepends=True)
        lines = [_decoded(path, number, part) for number, part in enumerate(parts, start=1)]
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise DataError(f"{path}, line {number} holds a zero byte: the file is damaged; restore it from git")
    return lines


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number} holds the byte 0x{line[error.start]:02x}, which is neither UTF-8 nor Latin-1; "
            "save it as CSV in UTF-8"
        ) from None


def _header(
    path: Path, number: int, line: str, columns: Sequence[str], aliases: Mapping[str, str]
) -> tuple[str, list[str]]:
    """The separator and the names of the columns in their order."""
    for separator in _SEPARATORS:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=separator, skipinitialspace=True))
        names = [name.strip().casefold() for name in cells]
        while names and not names[-1]:  # a spreadsheet adds empty columns
            names.pop()
        names = [aliases.get(name, name) for name in names]
        if sorted(names) == sorted(columns):
            return separator, names
    if line.startswith(_CONFLICT_MARKS):
        raise _conflict(path, number)
    raise DataError(
        f"{path}, line {number} is {line.strip()[:_MAX_QUOTED]!r}, where the header {','.join(columns)} is expected; "
        "write it there, or restore the file from git"
    )


def _rows(
    path: Path, lines: Iterable[str], start: int, *, separator: str, names: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    number = start
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number, _row(path, number, cells, separator, names)
            number = start + reader.line_num
    except csv.Error as error:
        raise DataError(
            f"{path}, line {number}: its quotes do not fit ({error}); a cell in quotes ends with one, and holds each "
            "of its own twice"
        ) from None


def _row(path: Path, number: int, cells: list[str], separator: str, names: Sequence[str]) -> dict[str, str]:
    if cells[0].startswith(_CONFLICT_MARKS):
        raise _conflict(path, number)
    if any(mark in cell for cell in cells for mark in "\r\n"):
        raise DataError(f"{path}, line {number}: a cell goes on over several lines; end its quotes in that line")
    if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
        raise DataError(
            f"{path}, line {number} has {len(cells)} cells, not the {len(names)} of {separator.join(names)}; correct "
            f"it (a cell that holds a {separator!r} needs quotes), or remove it"
        )
    return {name: cell.strip() for name, cell in zip(names, cells, strict=False)}


def _conflict(path: Path, number: int) -> DataError:
    return DataError(f"{path}, line {number} is the mark of a merge conflict; decide in the file which lines stay")
