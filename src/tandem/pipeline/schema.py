"""`params.yaml` as a whole, checked before any work starts: the sections are the settings of the rooms.

Read by the `check` stage and the command line alone: a change here reruns no other stage.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args

from annotated_types import MinLen
from pydantic import TypeAdapter, ValidationError

from tandem.cluster.executor import require_ray
from tandem.curation.settings import CurateSettings, LabelErrorSettings
from tandem.datasets.formats.registry import require_format
from tandem.datasets.labels import label_map
from tandem.datasets.settings import IngestSettings, LabelSettings, MergeSettings
from tandem.errors import DataError, ParamsError, did_you_mean
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.finetune.settings import FinetuneSettings
from tandem.ood.settings import OodSettings
from tandem.pipeline.problems import Mistake, describe_problem, shown
from tandem.pipeline.renamed import usual_format, with_new_names
from tandem.pipeline.settings import RuntimeSettings
from tandem.sources.settings import Source
from tandem.studies.settings import StudySettings
from tandem.training.loggers import require_logger
from tandem.training.settings import BEST, NUM_LAYERS, EnsembleKind, EnsembleSettings, TrainSettings
from tandem.types import Name, NotEmpty, Section

_MAX_BITS = 64  # of a whole number


@dataclass(frozen=True)
class ReportSettings(Section):
    """What only people can say of the data and the model. It stands here as a change of what stages run reruns them.

    licenses: source -> its licence, which goes before what its files and its service say.
    """

    title: NotEmpty | None = None
    creator: NotEmpty | None = None
    url: NotEmpty | None = None
    licenses: Mapping[Name, NotEmpty] | None = None
    intended_use: NotEmpty | None = None
    collection: NotEmpty | None = None
    annotation: NotEmpty | None = None
    biases: NotEmpty | None = None
    limitations: NotEmpty | None = None
    personal_information: NotEmpty | None = None


@dataclass(frozen=True)
class Params(Section):
    """The whole file."""

    sources: Annotated[Mapping[Name, Source], MinLen(1)]
    ingest: IngestSettings
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
    ood: OodSettings
    evaluate: EvaluateSettings
    runtime: RuntimeSettings
    report: ReportSettings | None = None


def check_params(params: Mapping[str, Any], lines: Mapping[tuple[str, ...], int] | None = None) -> Params:
    """The parameters as one value; raises ParamsError that names every wrong key: what was found, what is allowed.

    Keys under an old name are named with the new one, and checked as if they were renamed. What spans sections is
    checked once each section is valid. lines: where keys stand in the file, by their paths.
    """
    renamed, old_names = with_new_names(params)
    problems = [Mistake(path, text) for path, text in old_names.items()]
    problems += (not_json := list(_not_json((), renamed)))
    valid, invalid = _validated(renamed) if not not_json else (None, [])
    problems += invalid
    if valid is None or problems:
        raise problems_error(problems, lines or {})
    return valid


def problems_error(problems: Sequence[Mistake], lines: Mapping[tuple[str, ...], int]) -> ParamsError:
    """One error that lists problems, each with its line where that is known."""
    texts = [with_line(problem, lines) for problem in problems]
    return ParamsError("\n  ".join([f"params.yaml has {len(texts)} mistake(s):", *texts]))


def with_line(problem: Mistake, lines: Mapping[tuple[str, ...], int]) -> str:
    """A problem after the line of its key, or of the section that lacks the key."""
    path = problem.path
    known = (path[:length] for length in range(len(path), 0, -1) if path[:length] in lines)
    text = re.sub(r"(\S{300})\S+", r"\1...", problem.text)
    return f"{next((f'line {lines[each]}: ' for each in known), '')}{text}"


def _not_json(path: tuple[str, ...], value: Any) -> Iterator[Mistake]:
    """What YAML can hold and parameters cannot: keys that are no strings, dates, numbers beyond 64 bits, and so on."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            text = _key_problem(key)
            yield from [Mistake((*path, str(key)), f"{_where(path)} has the key {key!r}, {text}")] if text else ()
            yield from () if text else _not_json((*path, key), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_json((*path, str(number)), item)
    elif text := _scalar_problem(value):
        yield Mistake(path, f"{_where(path)} is {text}")


def _where(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the file"


def _key_problem(key: Any) -> str:
    if not isinstance(key, str):
        return f"which is no string; write it in quotes: '{'' if key is None else key}'"
    return "" if _is_unicode(key) else "which is no text; correct its escapes"


def _scalar_problem(value: Any) -> str:
    if isinstance(value, str):
        return "" if _is_unicode(value) else f"{shown(value)}, which is no text; correct its escapes"
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"a number of about {round(value.bit_length() * math.log10(2))} digits; no parameter is that large"
    is_plain = value is None or isinstance(value, int | float)
    return "" if is_plain else f"{value!r}: a string is needed; write it in quotes"


def _is_unicode(text: str) -> bool:
    """Whether it can be written to a file, as half of a surrogate pair cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _validated(params: Mapping[str, Any]) -> tuple[Params | None, list[Mistake]]:
    try:
        # as JSON, since pydantic takes mappings for dataclasses, and lists for tuples, in strict mode only from there
        valid = _adapter().validate_json(json.dumps(params))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return None, [describe_problem(problem, params, Params) for problem in problems]
    return valid, list(_across_sections(valid))


@cache
def _adapter() -> TypeAdapter[Params]:
    return TypeAdapter(Params)


def _across_sections(params: Params) -> Iterator[Mistake]:
    """What is wrong between sections that are valid each by itself, or with what they refer to."""
    for name, source in params.sources.items():
        try:
            require_format(source.format)
        except ParamsError as error:
            usual = usual_format(source.format)
            advice = f"; write `format: {usual}`" if usual else ""
            yield Mistake(("sources", name, "format"), f"sources.{name}.format: {error}{advice}")
    try:
        label_map(params.labels)
    except DataError as error:
        yield Mistake(("labels",), str(error))
    yield from _unknown_names(params)
    yield from _layer_problems(params.train, params.backbones)
    yield from _missing_packages(params.runtime)


def _unknown_names(params: Params) -> Iterator[Mistake]:
    for name in params.backbones:
        if name in (BEST, *get_args(EnsembleKind)):
            text = f"{name!r} is what ensembles are called by; take another name, with the architecture beside it"
            yield Mistake(("backbones", name), f"backbones: {text}")
    for name in sorted(set(params.labels.by_source) - set(params.sources)):
        yield _unknown(("labels", "by_source", name), "names", name, "sources", params.sources)
    for name in sorted(set((params.report and params.report.licenses) or ()) - set(params.sources)):
        yield _unknown(("report", "licenses", name), "names", name, "sources", params.sources)
    if params.curate.backbone not in params.backbones:
        yield _unknown(("curate", "backbone"), "is", params.curate.backbone, "backbones", params.backbones)
    if params.ensemble.student not in (BEST, *params.backbones):
        yield _unknown(("ensemble", "student"), "is", params.ensemble.student, "backbones", params.backbones)


def _missing_packages(runtime: RuntimeSettings) -> Iterator[Mistake]:
    """Of what is asked for, what is not installed."""
    try:
        require_logger(runtime.logger)
    except ParamsError as error:
        yield Mistake(("runtime", "logger"), str(error))
    try:
        require_ray(runtime.cluster)
    except ParamsError as error:
        yield Mistake(("runtime", "cluster"), str(error))


def _unknown(path: tuple[str, ...], verb: str, name: str, section: str, known: Iterable[str]) -> Mistake:
    """A name that a section, which has these, does not have."""
    where = ".".join(path[:-1] if verb == "names" else path)
    names = list(known)
    advice = did_you_mean(name, names).strip()
    text = f"{where} {verb} {name!r}; {section} has {', '.join(names)}"
    return Mistake(path, f"{text}; {advice}" if advice else text)


def _layer_problems(train: TrainSettings, backbones: Mapping[str, BackboneSettings]) -> Iterator[Mistake]:
    layers, path = train.trainable_backbone_layers, ("train", "trainable_backbone_layers")
    for name in sorted(set(layers if isinstance(layers, Mapping) else ()) - set(backbones)):
        yield _unknown((*path, name), "names", name, "backbones", backbones)
    for name, backbone in backbones.items():
        num_layers = train.num_trainable_layers(name)
        if num_layers and backbone.layer is not None:
            yield Mistake(
                path,
                f"train.trainable_backbone_layers unfreezes {num_layers} of {NUM_LAYERS} layers of {name}, which ends "
                f"at {backbone.layer}: take 0 (frozen), or leave out backbones.{name}.layer",
            )
        if 0 < num_layers < NUM_LAYERS and backbone.weights == RANDOM:
            yield Mistake(
                path,
                f"train.trainable_backbone_layers unfreezes {num_layers} of {NUM_LAYERS} layers of {name}, whose "
                f"weights are random: take 0 (frozen) or {NUM_LAYERS} (trained from scratch), or give it trained "
                "weights",
            )
