"""What pydantic finds wrong in parameters, in our words: where, what was found, what is needed and what to write."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from tandem.errors import PipelineError, did_you_mean
from tandem.pipeline.renamed import usual_name
from tandem.types import Hint

_MIN_PERCENT = 2  # below it hardly a percentage is meant
_MAX_SHOWN = 80  # letters of a value
_OF_A_KEY = "[key]"  # pydantic's last step to a key of a mapping that is itself wrong
_BOUNDS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number from {ge} on",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
}
_NUMBER = "a number"
_NEEDED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a number of fewer digits",
    "float_type": _NUMBER,
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
}
_USUAL_WORDS = {"gpu": "cuda", "off": "none", "false": "none", "null": "none", "full": "whole", "logreg": "logistic"}
_NO_TEXT = ("int_type", "float_type", "bool_type")  # what is written in quotes is none of these


class Mistake(NamedTuple):
    """path: the keys that lead to what is wrong; () for the file. text: the whole sentence, path included."""

    path: tuple[str, ...]
    text: str


def describe_problem(problem: Any, params: Mapping[str, Any], schema: type) -> Mistake:
    """One line for one of the errors() of a ValidationError of `params` by the settings class `schema`."""
    path = tuple(map(str, problem["loc"]))
    return Mistake(path, _text(problem, path, params, schema))


def problems_in(error: PipelineError) -> list[str]:
    """The problems that an error lists, a line each below its head; else its message alone."""
    _, *listed = str(error).split("\n  ")
    return [each.partition("\n")[0] for each in listed] or [str(error)]


def shown(value: Any) -> str:
    """A value of the file for a message, cut where it is long."""
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _text(problem: Any, path: tuple[str, ...], params: Mapping[str, Any], schema: type) -> str:
    *above, last = path
    where, kind, found = ".".join(path) or "the file", problem["type"], problem.get("input")
    if kind == "unexpected_keyword_argument":
        return _unknown_key(above, last, schema)
    hint = _hint(above, last, params, schema)
    if kind in ("missing", "missing_argument"):
        return f"{where} is missing; {hint or 'add it (presets/ hold complete files)'}"
    if hint:
        return f"{where} is {shown(found)}; {hint}"
    if kind == "value_error":
        is_key = last == _OF_A_KEY
        return f"{'.'.join(above[:-1]) if is_key else where}: {problem['ctx']['error']}"
    needed, remedy = _needed(kind, found, problem.get("ctx", {}), last)
    verb = "are" if needed.endswith("entries") else "is"
    return f"{where} is {shown(found)}; {needed} {verb} needed{f': {remedy.strip()}' if remedy else ''}"


def _needed(kind: str, found: Any, ctx: Mapping[str, Any], key: str) -> tuple[str, str]:
    """What is needed instead of what was found, and what to write, "" where that is plain."""
    if kind == "literal_error":
        words = str(ctx["expected"]).replace(" or ", ", ")
        known = [word.strip(" '") for word in words.split(",")]
        usual = _USUAL_WORDS.get(str(found).lower())
        return f"one of {', '.join(known)}", f"write {usual}" if usual in known else did_you_mean(str(found), known)
    if kind in ("tuple_type", "list_type"):
        items = "" if found is None else found if isinstance(found, str | int | float) else "..."
        return "a list", f"write `{key}: [{items}]`"
    if kind == "too_short":
        return f"at least {ctx['min_length']} {'entry' if ctx['min_length'] == 1 else 'entries'}", ""
    if kind in _BOUNDS:
        limits = {name: int(value) if value == int(value) else value for name, value in ctx.items()}
        return _BOUNDS[kind].format(**limits), _of_percent(found, max(limits.values()))
    return _NEEDED.get(kind, "a section of keys with values"), _remedy(kind, found)


def _remedy(kind: str, found: Any) -> str:
    if kind == "string_type" and isinstance(found, bool | int | float):
        return f"quote it: '{str(found).lower() if isinstance(found, bool) else found}'"
    if kind in _NO_TEXT and isinstance(found, str):
        plain = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(found.lower(), found.lower())
        percent, decimal = plain.removesuffix("%").strip(), plain.replace(",", ".", 1)
        if kind == "float_type" and plain.endswith("%") and _is_number(percent):
            return f"write {float(percent) / 100:g}"
        if kind == "float_type" and "," in plain and _is_number(decimal):
            return f"write {decimal}, with a point"
        is_right = plain in ("true", "false") if kind == "bool_type" else _is_number(plain)
        return f"write {plain} without quotes" if is_right else ""
    if isinstance(found, float) and kind.startswith("int_") and found.is_integer():
        return f"write {int(found)}"
    return ""


def _of_percent(found: Any, limit: float) -> str:
    """What to write in place of 70 where a fraction is needed; "" for other numbers and other limits."""
    is_percent = limit <= 1 < _MIN_PERCENT <= found <= 100 * limit
    return f"write {found / 100:g} for {found:g} %" if is_percent else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unknown_key(above: Sequence[str], key: str, schema: type) -> str:
    allowed = sorted(field.name for field in fields(_without_checks(_annotation_at(above, schema))))
    usual = usual_name(key)
    advice = f"did you mean {usual!r}? " if usual in allowed else did_you_mean(key, allowed)
    if not advice:
        homes = [".".join(path) for path in _paths_to(usual or key, schema)]
        advice = f"{usual or key} belongs to {', '.join(homes)}; " if homes else ""
    section = ".".join(above) or "the file"
    return f"{section}: {key!r} is not a parameter here; {advice}allowed: {', '.join(allowed)}"


def _paths_to(key: str, schema: type, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The sections of the schema that have a key of this name."""
    for name, annotation in get_type_hints(schema, include_extras=True).items():
        section = _without_checks(annotation)
        if name == key and above:
            yield above
        if is_dataclass(section) and isinstance(section, type):
            yield from _paths_to(key, section, (*above, name))


def _hint(above: Sequence[str], key: str, params: Mapping[str, Any], schema: type) -> str:
    """What the annotation of a key says to do, filled in from its section of `params`; "" where it says nothing."""
    annotation = _annotation_at((*above, key), schema)
    text = next((each.text for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Hint)), "")
    section: Any = params
    for name in above:
        section = section.get(name, {}) if isinstance(section, Mapping) else {}
    for name, value in section.items() if isinstance(section, Mapping) else ():
        text = text.replace(f"{{{name}}}", str(value))
    return text


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
