"""Text, JSON and YAML of data sets, which strangers wrote: read in bounded time and memory or refused."""

import codecs
import json
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tandem.errors import DataError

_MARKS = (  # UTF-32 first: the mark of UTF-16 begins its own
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of YAML, whose parser reads some 10,000 values a second; the names of 20,000 classes by number take half of each.
_MAX_YAML, _MAX_NODES = 1_000_000, 80_000  # characters, values
_MAX_DEPTH = 20  # of YAML; its parser takes time that grows with the square of the depth
_END = object()

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80
_short.maxlevel = 3


def load_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises DataError for other encodings: a name that is read wrongly would be another label.
    """
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: the byte 0x{data[error.start]:02x} is not of {encoding.removesuffix('-sig')} text; "
            "save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: a zero byte, which no text has; save the file as UTF-8")
    return text


def load_json(path: Path) -> Any:
    """The value of a JSON file. Raises DataError, for a key that stands twice in one object too."""
    try:
        return json.loads(load_text(path), object_pairs_hook=_unique)
    except RecursionError:
        raise DataError(f"{path} is nested too deeply to be read; correct it, or get the source again") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}); correct it, or get the source again") from None


def load_yaml(path: Path) -> Any:
    """The first document of a YAML file in strings, lists and dicts: scalars as they are written, `no` and `1.0` too.

    Raises DataError for what is no YAML, a key that stands twice, and a file that is too large or nested too deeply.
    """
    text = load_text(path)
    try:
        if len(text) > _MAX_YAML:
            raise ValueError(f"{len(text)} characters; at most {_MAX_YAML} are read")
        events = YAML(typ="base", pure=True).parse(text)
        return _value(_nodes(events), {}, depth=0)
    except (YAMLError, ValueError) as error:
        raise DataError(f"{path} is not valid YAML ({_problem(error)}); correct it, or get the source again") from None


def shorten(value: Any) -> str:
    """A value as Python writes it, whatever its size and depth, in a few words."""
    return _short.repr(value)


def first_names(names: Sequence[str], *, most: int = 3) -> str:
    """Some of many names for a message: 'a', 'b', 'c' and 4 more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shorten, names[:most])) + more


def _nodes(events: Iterable[Any]) -> Iterator[Any]:
    nodes = (event for event in events if isinstance(event, NodeEvent | SequenceEndEvent | MappingEndEvent))
    for number, node in enumerate(nodes):
        if number == _MAX_NODES:
            raise ValueError(f"more than {_MAX_NODES} values")
        yield node


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shorten(twice)} stands twice in one object")
    return value


def _value(events: Iterator[Any], anchors: dict[str, Any], *, depth: int) -> Any:
    """What the next events hold; an alias is the value of its anchor, not a copy. _END at the end of a collection."""
    event = next(events, None)
    if depth > _MAX_DEPTH or (event is None and depth):
        raise ValueError(f"nested more than {_MAX_DEPTH} deep" if event else "it ends too early")
    if isinstance(event, SequenceEndEvent | MappingEndEvent):
        return _END
    if isinstance(event, AliasEvent):
        if event.anchor not in anchors:
            raise ValueError(f"the alias *{event.anchor} stands before its anchor ends")
        return anchors[event.anchor]
    value: Any = getattr(event, "value", "")
    if isinstance(event, SequenceStartEvent):
        value = list(iter(lambda: _value(events, anchors, depth=depth + 1), _END))
    elif isinstance(event, MappingStartEvent):
        value = _mapping(events, anchors, depth=depth + 1)
    anchors[getattr(event, "anchor", None) or ""] = value
    return value


def _mapping(events: Iterator[Any], anchors: dict[str, Any], *, depth: int) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key in iter(lambda: _value(events, anchors, depth=depth), _END):
        if not isinstance(key, str) or key == "<<":
            raise ValueError(f"the key {shorten(key)} is none that is read here")
        if key in mapping:
            raise ValueError(f"the key {shorten(key)} stands twice in one mapping")
        mapping[key] = _value(events, anchors, depth=depth)
    return mapping


def _problem(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())[:200]
