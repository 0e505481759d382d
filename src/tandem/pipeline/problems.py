"""What pydantic finds wrong in parameters, as lines that say where, what was found, and what is allowed or to do."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tandem.types import Hint

_PYDANTIC_S_PREFIX = "Value error, "
# Pydantic's words for types are those of JSON and Python -> those of YAML
_IN_YAML = {
    r"\ban? (valid )?(array|tuple|list)\b": "a list",
    r"\ban? (valid )?(object|dictionary)\b": "a mapping",
    r"\b(Array|Tuple|List) should\b": "the list should",
    r"\b(Object|Dictionary) should\b": "the mapping should",
    r" after validation, not \d+$": "",
}


def describe_problem(problem: Any, params: Mapping[str, Any], schema: type) -> str:
    """One line for one of the errors() of a ValidationError of `params` by the settings class `schema`."""
    *above, last = map(str, problem["loc"])
    path = ".".join((*above, last))
    if problem["type"] == "unexpected_keyword_argument":
        return _unknown_key(above, last, schema)
    hint = _hint(above, last, params, schema)
    if problem["type"] in ("missing", "missing_argument"):
        return f"{path} is missing; {hint or 'add it (presets/ hold complete files)'}"
    message = _in_words(problem["msg"].removeprefix(_PYDANTIC_S_PREFIX))
    if problem["type"] == "value_error":
        return f"{path}: {message}"
    return f"{path} is {problem['input']!r}; {hint}" if hint else f"{path} is {problem['input']!r}: {message}"


def _unknown_key(above: Sequence[str], key: str, schema: type) -> str:
    allowed = sorted(field.name for field in fields(_without_checks(_annotation_at(above, schema))))
    close = difflib.get_close_matches(key, allowed, n=1)
    advice = f"did you mean {close[0]!r}? " if close else ""
    section = ".".join(above) or "the file"
    return f"{section}: {key!r} is not a parameter here; {advice}allowed: {', '.join(allowed)}"


def _hint(above: Sequence[str], key: str, params: Mapping[str, Any], schema: type) -> str:
    """What the annotation of a key says to do, filled in from its section of `params`; "" where it says nothing."""
    annotation = _annotation_at((*above, key), schema)
    text = next((each.text for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Hint)), "")
    section: Any = params
    for name in above:
        section = section.get(name, {}) if isinstance(section, Mapping) else {}
    return re.sub(r"\{(\w+)\}", lambda name: str(section.get(name[1], name[0])), text)


def _annotation_at(path: Sequence[str], schema: type) -> Any:
    """How the settings annotate the key at a path; None where they know no such key."""
    annotation: Any = schema
    for key in path:
        kind = _without_checks(annotation)
        if is_dataclass(kind) and isinstance(kind, type):
            annotation = get_type_hints(kind, include_extras=True).get(key)
        else:
            annotation = get_args(kind)[1] if get_origin(kind) is Mapping else None
    return annotation


def _without_checks(annotation: Any) -> Any:
    """The annotation without what constrains it; of "a section or None", the section."""
    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    sections = [arm for arm in get_args(annotation) if is_dataclass(arm)]
    return sections[0] if sections and get_origin(annotation) in (Union, UnionType) else annotation


def _in_words(message: str) -> str:
    for pattern, words in _IN_YAML.items():
        message = re.sub(pattern, words, message)
    return message
