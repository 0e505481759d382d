"""Reads `params.yaml` into typed settings. What it may hold is checked once, by the `check` stage (pipeline.schema)."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, SequenceNode

from tandem.errors import ParamsError
from tandem.files import parse_yaml

PARAMS_PATH = Path("params.yaml")
_MAX_BYTES, _MAX_SHOWN = 1_000_000, 80
_Settings = TypeVar("_Settings")


def read_params(path: Path = PARAMS_PATH) -> dict[str, Any]:
    """The parameters as plain dicts, lists and scalars, by YAML 1.2 rules (1e-3 is a number), as DVC reads them."""
    text = _read_text(path)
    try:
        params = parse_yaml(text)
    except ValueError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}; correct it there, or copy a preset over it") from None
    if not isinstance(params, dict):
        found = "is empty" if params is None else f"must hold sections with keys; it holds {str(params)[:_MAX_SHOWN]}"
        raise ParamsError(f"{path} {found}; copy a preset over it")
    return params


def key_lines(path: Path = PARAMS_PATH) -> dict[tuple[str, ...], int]:
    """Path of a key, items of lists by their number -> the line on which it stands in a file that read_params reads."""
    return dict(_lines(YAML(typ="safe", pure=True).compose(_read_text(path)), ()))


def _lines(node: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, SequenceNode):
        entries = [(str(number), item, item) for number, item in enumerate(node.value)]
    elif isinstance(node, MappingNode):
        entries = [(str(key.value), key, value) for key, value in node.value]
    else:
        return
    for name, start, value in entries:
        yield (*above, name), start.start_mark.line + 1
        yield from _lines(value, (*above, name))


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing here; run from the project's folder, or copy a preset over it") from None
    except IsADirectoryError:
        raise ParamsError(f"{path} is a folder; remove it, and copy a preset to its place") from None
    if len(data) > _MAX_BYTES:
        raise ParamsError(f"{path} has {len(data)} bytes, and no parameters are that many; copy a preset over it")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise ParamsError(f"{path} is UTF-16 or no text at all; save it as UTF-8, or copy a preset over it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ParamsError(f"{path} is not UTF-8 on line {line} ({error}); save it as UTF-8") from None


def section(params: Mapping[str, Any], name: str, kind: type[_Settings]) -> _Settings:
    """Section `name` as settings of this kind, sections within it too. Raises ParamsError where they do not fit.

    name: dotted for a section within a section, such as "sources.street".
    """
    value = _value_at(params, name)
    try:
        return _build(kind, value)
    except (TypeError, ValueError) as error:
        raise ParamsError(f"{PARAMS_PATH}: {name} cannot be read: {error}; `tandem check` says more") from None


def sections(params: Mapping[str, Any], name: str, kind: type[_Settings]) -> dict[str, _Settings]:
    """Key -> settings of this kind, for each key of section `name`. Raises ParamsError where they do not fit."""
    return {key: section(params, f"{name}.{key}", kind) for key in _value_at(params, name)}


def _value_at(params: Mapping[str, Any], name: str) -> Any:
    value: Any = params
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise ParamsError(f"{PARAMS_PATH} has no section {name}; add it (presets/ hold complete files)")
        value = value[key]
    if not isinstance(value, Mapping):
        raise ParamsError(f"{PARAMS_PATH}: {name} is {value!r}; keys with values are needed (presets/ show which)")
    return value


def _build(kind: Any, value: Any) -> Any:
    """The value as the annotation `kind` has it: mappings become dataclasses where it says so, lists become tuples."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, Mapping):
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{key: _build(hints.get(key), item) for key, item in value.items()})
    if get_origin(kind) is Mapping:
        return {key: _build(get_args(kind)[1], item) for key, item in value.items()}
    alternatives = [each for each in get_args(kind) if each is not NoneType]  # of "a section or None", the section
    return _build(alternatives[0], value) if len(alternatives) == 1 else value
