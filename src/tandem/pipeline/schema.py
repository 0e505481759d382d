"""`params.yaml` as a whole, checked before any work starts: the sections are the settings of the rooms.

Read by the `check` stage and the command line alone: a change here reruns no other stage.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import TypeAdapter, ValidationError

from tandem.curation.settings import CurateSettings, LabelErrorSettings
from tandem.datasets.formats.registry import require_format
from tandem.datasets.labels import label_map
from tandem.datasets.settings import LabelSettings, MergeSettings
from tandem.errors import DataError, ParamsError
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.finetune.settings import FinetuneSettings
from tandem.pipeline.problems import describe_problem
from tandem.pipeline.renamed import with_new_names
from tandem.pipeline.settings import RuntimeSettings
from tandem.sources.settings import Source
from tandem.studies.settings import StudySettings
from tandem.training.loggers import require_logger
from tandem.training.settings import NUM_LAYERS, EnsembleSettings, TrainSettings
from tandem.types import Name, Section


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


def check_params(params: Mapping[str, Any]) -> None:
    """Raise ParamsError that names every wrong key by its path, what was found and what is allowed.

    Keys under an old name are named with the new one, and checked as if they were renamed. What spans sections is
    checked once each section is valid.
    """
    renamed, lines = with_new_names(params)
    lines += list(_not_json("", renamed)) or _invalid(renamed)
    if lines:
        raise ParamsError("\n  ".join([f"params.yaml has {len(lines)} mistake(s):", *lines]))


def _not_json(path: str, value: Any) -> Iterator[str]:
    """What YAML can hold and parameters cannot: keys that are no strings, dates and the like."""
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


def _invalid(params: Mapping[str, Any]) -> list[str]:
    try:
        # as JSON, since pydantic takes mappings for dataclasses, and lists for tuples, in strict mode only from there
        valid = _adapter().validate_json(json.dumps(params))
    except ValidationError as error:
        return [describe_problem(problem, params, Params) for problem in error.errors(include_url=False)]
    return list(_across_sections(valid))


@cache
def _adapter() -> TypeAdapter[Params]:
    return TypeAdapter(Params)


def _across_sections(params: Params) -> Iterator[str]:
    """What is wrong between sections that are valid each by itself, or with what they refer to."""
    for name, source in params.sources.items():
        try:
            require_format(source.format)
        except ParamsError as error:
            yield f"sources.{name}.format: {error}"
    try:
        label_map(params.labels)
    except DataError as error:
        yield str(error)
    for name in sorted(set(params.labels.by_source) - set(params.sources)):
        yield f"labels.by_source names {name!r}; sources has {', '.join(params.sources)}"
    if params.curate.backbone not in params.backbones:
        yield f"curate.backbone is {params.curate.backbone!r}; backbones has {', '.join(params.backbones)}"
    yield from _layer_problems(params.train, params.backbones)
    try:
        require_logger(params.runtime.logger)
    except ParamsError as error:
        yield str(error)


def _layer_problems(train: TrainSettings, backbones: Mapping[str, BackboneSettings]) -> Iterator[str]:
    layers = train.trainable_backbone_layers
    for name in sorted(set(layers if isinstance(layers, Mapping) else ()) - set(backbones)):
        yield f"train.trainable_backbone_layers names {name!r}; backbones has {', '.join(backbones)}"
    for name, backbone in backbones.items():
        num_layers = train.num_trainable_layers(name)
        if 0 < num_layers < NUM_LAYERS and backbone.weights == RANDOM:
            yield (
                f"train.trainable_backbone_layers unfreezes {num_layers} of {NUM_LAYERS} layers of {name}, whose "
                f"weights are random: take 0 (frozen) or {NUM_LAYERS} (trained from scratch), or give it trained "
                "weights"
            )
