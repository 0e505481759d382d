"""`params.yaml` as a whole, checked. Read by the `check` stage and the command line alone: a change reruns no work.

The sections are the settings of the rooms; pydantic checks the values against their annotations.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints

from annotated_types import MinLen
from pydantic import TypeAdapter, ValidationError

from tandem.curation.settings import CurateSettings, LabelErrorSettings
from tandem.datasets.labels import label_map
from tandem.datasets.settings import LabelSettings, MergeSettings
from tandem.errors import DataError, ParamsError
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.finetune.settings import FinetuneSettings
from tandem.pipeline.renamed import VALUES, new_name
from tandem.pipeline.settings import RuntimeSettings
from tandem.sources.settings import Source
from tandem.studies.settings import StudySettings
from tandem.training.loggers import require_logger
from tandem.training.settings import NUM_LAYERS, EnsembleSettings, TrainSettings
from tandem.types import Hint, Name, Section

_PYDANTIC_S_PREFIX = "Value error, "
_YAML_WORDS = {"array": "list", "tuple": "list", "object": "mapping", "dictionary": "mapping"}


@dataclass(frozen=True)
class Params(Section):
    """The whole file."""

    sources: Annotated[Mapping[Name, Source], MinLen(1)]
    labels: LabelSettings
    merge: MergeSettings
    backbones: Annotated[Mapping[Name, BackboneSettings], MinLen(1)]
    extract: ExtractSettings
    curate: CurateSettings
    label_errors: LabelErrorSettings
    finetune: FinetuneSettings
    train: TrainSettings
    ensemble: EnsembleSettings
    study: StudySettings
    evaluate: EvaluateSettings
    runtime: RuntimeSettings

    def __post_init__(self) -> None:
        problem = next(_across_sections(self), None)
        if problem:
            raise ValueError(problem)


def check_params(params: Mapping[str, Any]) -> None:
    """Raise ParamsError that names every wrong key by its path, what was found and what is allowed.

    What spans sections is looked at once each section is right.
    """
    found = list(_not_json("", params))
    if not found:
        try:
            _adapter().validate_json(json.dumps(params))
        except ValidationError as error:
            found = _described(error.errors(include_url=False), params)
    if found:
        raise ParamsError("\n  ".join([f"params.yaml has {len(found)} mistake(s):", *found]))


@cache
def _adapter() -> TypeAdapter[Params]:
    return TypeAdapter(Params)


def _across_sections(params: Params) -> Iterator[str]:
    """What is wrong between sections that are right each by itself."""
    names = ", ".join(params.backbones)
    try:
        label_map(params.labels)
    except DataError as error:
        yield str(error)
    if params.curate.backbone not in params.backbones:
        yield f"curate.backbone is {params.curate.backbone!r}; backbones has {names}"
    for source in sorted(set(params.labels.by_source) - set(params.sources)):
        yield f"labels.by_source names {source!r}; sources has {', '.join(params.sources)}"
    layers = params.train.trainable_backbone_layers
    for name in sorted(set(layers if isinstance(layers, Mapping) else ()) - set(params.backbones)):
        yield f"train.trainable_backbone_layers names {name!r}; backbones has {names}"
    for name, backbone in params.backbones.items():
        if 0 < params.train.num_trainable_layers(name) < NUM_LAYERS and backbone.weights == RANDOM:
            yield (
                f"train.trainable_backbone_layers unfreezes {params.train.num_trainable_layers(name)} of {NUM_LAYERS} "
                f"layers of {name}, whose weights are random: take 0 (frozen) or {NUM_LAYERS} (trained from scratch), "
                "or give it trained weights"
            )
    try:
        require_logger(params.runtime.logger)
    except ParamsError as error:
        yield str(error)


def _not_json(path: str, value: Any) -> Iterator[str]:
    """What YAML can say and parameters cannot: keys that are no strings, dates and the like."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _not_json(f"{path}.{key}".lstrip("."), item)
            else:
                yield f"{path or 'the file'} has the key {key!r}, which is no string; write it in quotes: '{key}'"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_json(f"{path}.{number}", item)
    elif value is not None and not isinstance(value, str | int | float):
        yield f"{path} is {value!r}: a string is needed; write it in quotes"


def _described(problems: Sequence[Any], params: Mapping[str, Any]) -> list[str]:
    """A line a problem, but for keys that are missing because they stand there under their old name."""
    renamed = set()
    for problem in problems:
        above, last = problem["loc"][:-1], str(problem["loc"][-1]) if problem["loc"] else ""
        name = new_name(".".join(map(str, problem["loc"])))
        if problem["type"] == "unexpected_keyword_argument" and name and last:
            renamed.add((*above, name))
    return [_line(problem, params) for problem in problems if not (_is_missing(problem) and problem["loc"] in renamed)]


def _is_missing(problem: Any) -> bool:
    return problem["type"] in ("missing", "missing_argument")


def _line(problem: Any, params: Mapping[str, Any]) -> str:
    loc = problem["loc"]
    path = ".".join(map(str, loc)) or "the file"
    if problem["type"] == "unexpected_keyword_argument":
        return _unknown_key(loc)
    hint = _hint(loc, params)
    if _is_missing(problem):
        return f"{path} is missing; {hint or 'add it (presets/ hold complete files)'}"
    message = problem["msg"].removeprefix(_PYDANTIC_S_PREFIX)
    if problem["type"] == "value_error":
        return message if not loc or message.startswith(path) else f"{path}: {message}"
    value = problem["input"]
    if isinstance(value, str) and value in VALUES.get(path, {}):
        return f"{path} is {value!r}, which is called {VALUES[path][value]!r} now"
    return f"{path} is {value!r}; {hint}" if hint else f"{path} is {value!r}: {_in_words(message)}"


def _unknown_key(loc: Sequence[Any]) -> str:
    *above, key = loc
    place = ".".join(map(str, above)) or "the file"
    name = new_name(".".join(map(str, loc)))
    if name:
        return f"{place}: {key!r} is called {name!r} now; rename it"
    known = sorted(_hints_of(_kind_at(above)))
    close = difflib.get_close_matches(str(key), known, n=1)
    advice = f"did you mean {close[0]!r}? " if close else ""
    return f"{place}: {key!r} is not a parameter here; {advice}allowed: {', '.join(known)}"


def _hint(loc: Sequence[Any], params: Mapping[str, Any]) -> str:
    """What the annotation of a key says to do, filled in from the section that it stands in; "" where it says nothing."""
    *above, last = loc or ("",)
    annotation = _hints_of(_kind_at(above)).get(str(last))
    text = next((each.text for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Hint)), "")
    section: Any = params
    for key in above:
        section = section.get(key, {}) if isinstance(section, Mapping) else {}
    return re.sub(r"\{(\w+)\}", lambda key: str(section.get(key[1], key[0])), text)


def _kind_at(loc: Sequence[Any]) -> Any:
    """The class of the section at a path of keys; None where there is none."""
    kind: Any = Params
    for key in loc:
        kind = _section_in(_hints_of(kind).get(str(key), _item_of(kind)))
    return kind


def _hints_of(kind: Any) -> dict[str, Any]:
    is_section = is_dataclass(kind) and isinstance(kind, type)
    hints = get_type_hints(kind, include_extras=True) if is_section else {}
    return {field.name: hints[field.name] for field in fields(kind)} if is_section else {}


def _section_in(annotation: Any) -> Any:
    """The annotation without what says how it is checked and without None."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    arms = [arm for arm in get_args(annotation) if is_dataclass(arm)]
    return arms[0] if arms and not _is_mapping(annotation) else annotation


def _item_of(kind: Any) -> Any:
    return _section_in(get_args(kind)[1]) if _is_mapping(kind) else None


def _is_mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is Mapping


def _in_words(message: str) -> str:
    """Pydantic's words without those of Python and JSON, which nobody wrote in YAML."""
    return re.sub(r"\b(array|tuple|object|dictionary)\b", lambda word: _YAML_WORDS[word[1]], message)
