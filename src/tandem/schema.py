"""What `params.yaml` may say. Read by the `check` stage and the command line alone: a change here reruns no work."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from tandem.errors import DataError, ParamsError
from tandem.labels import label_map
from tandem.schema_sources import Count, Name, Positive, Section, Seed, Sha256, Share, Source
from tandem.schema_training import Finetune, Train
from tandem.tracking import Log, require


class LabelsOfSource(Section):
    """Aliases that hold in one source alone."""

    classes: dict[str, list[str]]
    ignore: list[str]


class Labels(Section):
    """Class -> aliases, and labels that are left out."""

    classes: Annotated[dict[Annotated[str, Field(min_length=1)], list[str]], Field(min_length=2)]
    ignore: list[str]
    by_source: dict[str, LabelsOfSource]

    @model_validator(mode="after")
    def _aliases_are_unique(self) -> Self:
        try:
            label_map(**self.model_dump())
        except DataError as error:
            raise ValueError(str(error)) from None
        return self


class Merge(Section):
    """Which pictures are refused, and how many may be."""

    min_side_px: Count
    max_pixels: Count
    max_broken_share: Share


class Weights(Section):
    """`random`, a name of torchvision's, or a file with its digest. architecture: of a backbone with another name."""

    weights: Annotated[str, Field(min_length=1)]
    sha256: Sha256 | None = None
    architecture: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _file_is_pinned(self) -> Self:
        is_file = len(PurePosixPath(self.weights).parts) > 1 or PurePosixPath(self.weights).suffix != ""
        if is_file and self.sha256 is None:
            raise ValueError(f"weights {self.weights!r} is a file: state its sha256 beside it (sha256sum prints it)")
        if self.sha256 is not None and not is_file:
            raise ValueError(f"sha256 belongs to a file of weights, and {self.weights!r} is none; leave it out")
        return self


class Extract(Section):
    """The one transform, what computes, and the seed of random weights."""

    size_px: Annotated[int, Field(ge=32, le=1024)]
    resize: Literal["squash", "crop"]
    views: Annotated[int, Field(ge=1, le=10)]
    engine: Literal["auto", "reference"]
    seed: Seed


class Nearness(Section):
    """When two pictures are near: least cosine, most differing bits of 256."""

    similarity: Annotated[float, Field(gt=0, le=1)]
    hash_bits: Annotated[int, Field(ge=0, le=127)]


class Candidates(Nearness):
    """Pairs to look at: those that are near, and each picture with its nearest."""

    neighbours: Annotated[int, Field(ge=0, le=100)]


class Fractions(Section):
    """Share of the groups in each split."""

    train: Annotated[float, Field(gt=0, lt=1)]
    val: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, val and test must add up to 1; they add up to {total:.10g}")
        return self


class Curate(Section):
    """Duplicates, groups and splits."""

    backbone: str
    candidates: Candidates
    correlation: Annotated[float, Field(gt=0, le=1)]
    hint: Nearness
    copies: Literal["one", "together"]
    fractions: Fractions
    seed: Seed


class Suspect(Section):
    """How wrong labels are sought."""

    folds: Annotated[int, Field(ge=2, le=100)]
    neighbours: Annotated[int, Field(ge=1, le=1000)]
    share: Annotated[float, Field(gt=0, le=0.5)]
    seed: Seed


class Ensemble(Section):
    """Which ensemble is shipped, and the dropout and width of the feature ensemble."""

    kind: Literal["best", "mean", "weighted", "greedy", "stack", "logit", "feature"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    width: Annotated[int, Field(ge=2, le=4096)]


class Study(Section):
    """The grid of the study."""

    lr: Annotated[list[Positive], Field(min_length=1)]
    batch_size: Annotated[list[Count], Field(min_length=1)]
    seeds: Annotated[int, Field(ge=1, le=100)]


class Evaluate(Section):
    """Limits of the scores, what is left to a person, and on how many splits models are trained anew."""

    draws: Annotated[int, Field(ge=100, le=100_000)]
    max_error: Annotated[float, Field(gt=0, lt=1)]
    seeds: Annotated[int, Field(ge=0, le=100)]
    seed: Seed


class Runtime(Section):
    """What changes no result: speed knobs, and where training curves are written as they grow."""

    workers: Count
    batch_size: Count
    device: Literal["auto", "cpu", "cuda", "mps"]
    log: Log

    @field_validator("log")
    @classmethod
    def _can_be_written(cls, value: Log) -> Log:
        try:
            require(value)
        except ParamsError as error:
            raise ValueError(str(error)) from None
        return value


class Params(Section):
    """The whole file."""

    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    labels: Labels
    merge: Merge
    backbones: Annotated[dict[Name, Weights], Field(min_length=1)]
    extract: Extract
    curate: Curate
    suspect: Suspect
    finetune: Finetune
    train: Train
    ensemble: Ensemble
    study: Study
    evaluate: Evaluate
    runtime: Runtime

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if self.curate.backbone not in self.backbones:
            raise ValueError(f"curate.backbone is {self.curate.backbone!r}; backbones has {', '.join(self.backbones)}")
        foreign = sorted(set(self.labels.by_source) - set(self.sources))
        if foreign:
            raise ValueError(f"labels.by_source names {foreign[0]!r}; sources has {', '.join(self.sources)}")
        return self

    @model_validator(mode="after")
    def _layers_can_be_thawed(self) -> Self:
        thawed = self.train.trainable_backbone_layers
        by_name = dict.fromkeys(self.backbones, thawed) if isinstance(thawed, int) else thawed
        for name, layers in by_name.items():
            if name not in self.backbones:
                raise ValueError(
                    f"train.trainable_backbone_layers names {name!r}; backbones has {', '.join(self.backbones)}"
                )
            if 0 < layers < 5 and self.backbones[name].weights == "random":
                raise ValueError(
                    f"train.trainable_backbone_layers thaws {layers} of 5 layers of {name}, whose weights are random: "
                    "take 0 (frozen) or 5 (trained from scratch), or give it trained weights"
                )
        return self


def check(params: Mapping[str, Any]) -> None:
    """Raise ParamsError that names wrong keys by their path, what was found and what is allowed.

    What lies below a section is looked at once its own keys are known ones, and what spans sections once each is right.
    """
    try:
        Params.model_validate(params)
    except ValidationError as error:
        lines = "\n  ".join(_describe(problem) for problem in error.errors())
        raise ParamsError(f"params.yaml has {error.error_count()} mistake(s):\n  {lines}") from None


def _describe(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "missing":
        return f"{path} is missing; add it (presets/ hold complete files)"
    if problem["type"] == "value_error":
        message = problem["msg"].removeprefix("Value error, ")
        return message if message.startswith(path) else f"{path}: {message}"
    return f"{path} is {problem['input']!r}: {problem['msg']}"
