"""Write params.schema.json, by which editors complete, explain and check params.yaml.

    python docs/params_schema.py

Types and ranges are those of the settings classes, as pydantic writes them; what a key means is what docs/parameters.md
says. What spans keys or sections (`tandem check` knows it) is left out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from tandem.datasets.formats.registry import AUTO, FORMATS
from tandem.pipeline.schema import Params
from tandem.sources.kinds import SOURCE_KINDS
from tandem.training.settings import NUM_LAYERS
from tandem.types import Matching

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "params.schema.json"
_DRAFT = "http://json-schema.org/draft-07/schema#"  # the one that all editors know
_ROW = re.compile(r"^\| `([\w.<>]+)` \| (.*?) \| (.*?) \|", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")
_LAYERS = {"type": "integer", "minimum": 0, "maximum": NUM_LAYERS}
# What the code checks by functions of its own.
BY_FUNCTION: Mapping[str, Mapping[str, Any]] = {
    "sources.<name>": {
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": [kind]}} for kind in SOURCE_KINDS
        ]
    },
    "sources.<name>.kind": {"enum": list(SOURCE_KINDS)},
    "sources.<name>.format": {"enum": [AUTO, *FORMATS]},
    "train.trainable_backbone_layers": {"anyOf": [_LAYERS, {"type": "object", "additionalProperties": _LAYERS}]},
}


class _Generator(GenerateJsonSchema):
    """Without titles, which say each key once more, and with nothing of values that functions check (BY_FUNCTION)."""

    def function_plain_schema(self, schema: Any) -> dict[str, Any]:
        return {}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def main() -> None:
    PATH.write_text(schema_text(), encoding="utf-8")


def schema_text() -> str:
    """The file."""
    return json.dumps(params_schema(), indent=1, ensure_ascii=False) + "\n"


def params_schema() -> dict[str, Any]:
    """The schema, every section where it stands."""
    generated = TypeAdapter(Params).json_schema(schema_generator=_Generator)
    whole = _inlined(generated, generated["$defs"])
    _complete(whole, Params, "", meanings())
    return {"$schema": _DRAFT, "title": "params.yaml of tandem", **whole}


def meanings() -> dict[str, str]:
    """Key -> what it means and its range, by docs/parameters.md."""
    rows = _ROW.findall((ROOT / "docs/parameters.md").read_text(encoding="utf-8"))
    return {key: _plain(f"{meaning} ({scope})") for key, meaning, scope in rows}


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", text).replace("*optional*: ", "optional: ").replace("*", "").replace("`", "")
    return text[0].upper() + text[1:]


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """The node with what its references stand for in their place."""
    if isinstance(node, list):
        return [_inlined(each, definitions) for each in node]
    if not isinstance(node, Mapping):
        return node
    if name := node.get("$ref"):
        return _inlined(definitions[name.rsplit("/", 1)[-1]], definitions)
    # a parameter may be called title
    is_ours = {key: key != "$defs" and (key != "title" or isinstance(item, Mapping)) for key, item in node.items()}
    return {
        key: _inlined(item, definitions) for key, item in node.items() if is_ours[key]
    }  # a parameter may be `title`


def _complete(node: dict[str, Any], annotation: Any, path: str, known: Mapping[str, str]) -> None:
    """Add, in place, meanings, patterns and what functions check. annotation: of the value at the path."""
    kind, checks = _without_checks(annotation)
    if path in known:
        node["description"] = known[path]
    elif "description" in node:
        node["description"] = " ".join(node["description"].split())
    for each in (each for each in checks if isinstance(each, Matching)):
        _of_text(node)["pattern"] = _pattern(each)
    node |= BY_FUNCTION.get(path, {})
    section = next((each for each in node.get("anyOf", [node]) if each.get("type") == "object"), node)
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        for name in (each.name for each in fields(kind)):
            _complete(section["properties"][name], hints[name], f"{path}.{name}".lstrip("."), known)
    elif get_origin(kind) is Mapping and isinstance(section.get("additionalProperties"), dict):
        of_key, of_value = get_args(kind)
        for each in (each for each in _without_checks(of_key)[1] if isinstance(each, Matching)):
            section["propertyNames"] = {"pattern": _pattern(each)}
            section.pop("patternProperties", None)
        word = "<class>" if path.endswith("classes") else "<name>"
        _complete(section["additionalProperties"], of_value, f"{path}.{word}", known)


def _without_checks(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type, and what constrains it; of "one or None", those of the one."""
    checks = getattr(annotation, "__metadata__", ())
    kind = annotation.__origin__ if checks else annotation
    others = [each for each in get_args(kind) if each is not NoneType]
    if NoneType in get_args(kind) and len(others) == 1:
        inner, more = _without_checks(others[0])
        return inner, (*checks, *more)
    return kind, checks


def _of_text(node: dict[str, Any]) -> dict[str, Any]:
    return next((each for each in node.get("anyOf", []) if each.get("type") == "string"), node)


def _pattern(matching: Matching) -> str:
    """In the dialect of JSON schemas, which has no flags and looks for a part."""
    if matching.pattern.startswith("(?s).*"):
        return matching.pattern.removeprefix("(?s).*").removesuffix(".*")
    return f"^(?:{matching.pattern})$"


if __name__ == "__main__":
    main()
