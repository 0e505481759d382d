"""How commands print for programs: one whole JSON object on stdout, or nothing where they fail."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from unicodedata import category

import typer

import tandem
from tandem.errors import DataError

_SCHEMA = "params.schema.json"

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; messages are on stderr.")]


def print_json(value: Mapping[str, Any]) -> None:
    """Print what json.loads reads everywhere: numbers that are not finite are null."""
    typer.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def on_one_line(name: str | Path) -> str:
    """A file's name for a terminal: line breaks, and what else could steer it, are escaped."""
    return "".join(repr(letter)[1:-1] if category(letter) == "Cc" else letter for letter in str(name))


def params_schema_text() -> str:
    """The JSON schema of params.yaml: a wheel carries it beside what projects are made of, a clone at its top."""
    package = Path(tandem.__file__).parent
    paths = (package / "template" / _SCHEMA, package.parents[1] / _SCHEMA)
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise DataError(f"the tandem in {package} lacks {_SCHEMA}; install it again from its wheel")
    return found.read_text(encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
