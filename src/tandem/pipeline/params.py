"""Reads `params.yaml` into typed settings. What it may say is checked once, by the `check` stage (pipeline.schema)."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tandem.errors import ParamsError

PARAMS_PATH = Path("params.yaml")
_Settings = TypeVar("_Settings")


def read_params(path: Path = PARAMS_PATH) -> dict[str, Any]:
    """The parameters as plain dicts, lists and scalars, by YAML 1.2 rules (1e-3 is a number), as DVC reads them."""
    try:
        params = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing here; run from the project's folder, or copy a preset over it") from None
    except (YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date like 2024-13-01
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(params, dict):
        raise ParamsError(f"{path} must hold sections with keys; it holds {params!r}; copy a preset over it")
    return params


def section(params: Mapping[str, Any], name: str, kind: type[_Settings]) -> _Settings:
    """Section `name` as settings of this kind, sections within it too. Raises ParamsError where they do not fit.

    name: dotted for a section within a section, such as "sources.street".
    """
    value: Any = params
    try:
        for key in name.split("."):
            value = value[key]
        return _built(kind, value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ParamsError(f"params.yaml: {name} cannot be read ({error}); `tandem check` says what is wrong") from None


def sections(params: Mapping[str, Any], name: str, kind: type[_Settings]) -> dict[str, _Settings]:
    """Key -> settings of this kind, for each key of section `name`. Raises ParamsError where they do not fit."""
    return {key: section(params, f"{name}.{key}", kind) for key in params.get(name, {})}


def _built(kind: Any, value: Any) -> Any:
    """The value as the annotation `kind` has it: mappings become dataclasses, lists become tuples."""
    if is_dataclass(kind) and isinstance(kind, type):
        hints, known = get_type_hints(kind), {field.name for field in fields(kind)}
        return kind(**{key: _built(hints[key], item) if key in known else item for key, item in value.items()})
    arms = [arm for arm in get_args(kind) if arm is not NoneType]
    if isinstance(value, Mapping) and arms:
        if get_origin(kind) is not None and len(get_args(kind)) == 2 and arms[0] is str:  # Mapping[str, item]
            return {key: _built(arms[1], item) for key, item in value.items()}
        return _built(arms[0], value) if len(arms) == 1 else value  # of "section or None", the section
    if isinstance(value, list):
        return tuple(value)
    return value
