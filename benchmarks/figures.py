"""The table that a benchmark ends with: required beside reached."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn


class Figure(NamedTuple):
    """One line of the table. required: None where a figure is only told."""

    what: str
    required: str | None
    reached: str
    value: float
    is_reached: bool


def conclude(figures: Sequence[Figure], json_path: Path | None) -> NoReturn:
    """Print the table, write it as JSON where a path is given, and exit with 1 when a figure falls short."""
    for figure in figures:
        mark = "" if figure.is_reached else "  <-- falls short"
        print(f"{figure.what:<64} {figure.required or '':>12} {figure.reached:>16}{mark}")
    if json_path:
        json_path.write_text(json.dumps([figure._asdict() for figure in figures], indent=2) + "\n")
    sys.exit(0 if all(figure.is_reached for figure in figures) else 1)
