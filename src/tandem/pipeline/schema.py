"""What `params.yaml` may say. Read by the `check` stage and the command line alone: a change here reruns no work."""

import difflib
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tandem.datasets.labels import label_map
from tandem.errors import DataError, ParamsError
from tandem.training.loggers import LoggerName, require_logger

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_TWO_NAMES = r"\w[\w-]*/\w[\w.-]*"
Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Section(BaseModel):
    """A section knows its keys, and takes no others."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, section: Any) -> Any:
        for key in section if isinstance(section, Mapping) else ():
            if key not in cls.model_fields:
                close = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise ValueError(
                    f"{key!r} is not a parameter here; {hint}allowed: {', '.join(sorted(cls.model_fields))}"
                )
        return section


class Sample(Section):
    """The embedded images, drawn from a seed."""

    manner: Literal["kaggle", "roboflow"]
    seed: Seed


class Archive(Section):
    """A local zip, tar or folder."""

    path: str
    sha256: Sha256 | None = None


class Kaggle(Section):
    """A dataset of kaggle.com."""

    dataset: str
    version: Count
    sha256: Sha256 | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_pinned(cls, section: Any) -> Any:
        page = "https://www.kaggle.com/datasets/{}"
        return _pinned(section, "dataset", "owner/slug", f"{page}: the Data Explorer there names it")


class Roboflow(Section):
    """A version of a project of roboflow.com."""

    project: str
    version: Count
    format: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
    tree_sha256: Sha256 | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_pinned(cls, section: Any) -> Any:
        page = "https://universe.roboflow.com/{}"
        return _pinned(section, "project", "workspace/project", f"{page}: it ends the address of each version's page")


def _pinned(section: Any, key: str, form: str, where: str) -> Any:
    """The section as it is, if its name is of the form and its version a whole number. where: to find the latter."""
    if not isinstance(section, Mapping) or key not in section:
        return section
    name, version = section[key], section.get("version")
    if not re.fullmatch(_TWO_NAMES, str(name)):
        raise ValueError(f"{key} is {name!r}; write it as {form}, the end of its page's address")
    if type(version) is not int or version < 1:
        found = "missing" if version is None else repr(version)
        raise ValueError(
            f"version is {found}; a whole number from 1 on is needed, so that the same data comes again. "
            f"Look it up at {where.format(name)}"
        )
    return section


class Boxes(Section):
    """How to read a detection export."""

    use: Literal["whole", "crop"]
    margin: Share
    min_side_px: Count


class Source(Section):
    """Where images come from; the key named like the kind says which."""

    kind: Literal["sample", "archive", "kaggle", "roboflow"]
    sample: Sample | None = None
    archive: Archive | None = None
    kaggle: Kaggle | None = None
    roboflow: Roboflow | None = None
    format: Literal["auto", "class_folders", "roboflow_folder", "yolo", "coco"]
    boxes: Boxes | None = None

    @model_validator(mode="after")
    def _kind_is_described(self) -> Self:
        given = {kind for kind in ("sample", "archive", "kaggle", "roboflow") if getattr(self, kind) is not None}
        if given != {self.kind}:
            raise ValueError(f"kind {self.kind} needs the key {self.kind}, and no other kind's; it has {sorted(given)}")
        return self


class Augment(Section):
    """How far the images of a fine-tune are varied."""

    scale: Annotated[float, Field(gt=0, le=1)]
    flip: bool
    color: Annotated[float, Field(ge=0, lt=1)]
    rand_operations: Annotated[int, Field(ge=0, le=10)]


class Finetune(Section):
    """How unfrozen layers are trained."""

    lr: Positive
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    keep: Literal["best", "last"]
    patience: Count
    warmup_epochs: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Positive
    wise_alpha: Annotated[float, Field(ge=0, le=1)]
    probe_first: bool
    mix: Literal["none", "mixup", "cutmix"]
    augment: Augment
    size_px: Annotated[int, Field(ge=32, le=1024)]
    precision: Literal["auto", "float32", "bfloat16"]
    seed: Seed


class Train(Section):
    """How heads are trained, and how many layers below them: of every backbone, or by name."""

    trainable_backbone_layers: int | dict[str, int]
    head: Literal["linear", "logistic", "mlp"]
    lr: Positive
    batch_size: Count
    epochs: Count
    patience: Count
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    scheduler: Literal["plateau", "cosine", "none"]
    balance: Literal["sampler", "loss", "none"]
    folds: Annotated[int, Field(ge=2, le=100)]
    seed: Seed

    @field_validator("trainable_backbone_layers", mode="plain")
    @classmethod
    def _are_counts(cls, value: Any) -> Any:
        counts = list(value.values()) if isinstance(value, dict) else [value]
        if not all(type(count) is int and 0 <= count <= 5 for count in counts):
            raise ValueError(
                f"{value!r} is given; a whole number from 0 (frozen) to 5 (all) is needed, or one by backbone"
            )
        return value


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
    """Which images are refused, and how many may be."""

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
    """When two images are near: least cosine, most differing bits of 256."""

    similarity: Annotated[float, Field(gt=0, le=1)]
    hash_bits: Annotated[int, Field(ge=0, le=127)]


class Candidates(Nearness):
    """Pairs to look at: those that are near, and each image with its nearest."""

    neighbors: Annotated[int, Field(ge=0, le=100)]


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
    neighbors: Annotated[int, Field(ge=1, le=1000)]
    share: Annotated[float, Field(gt=0, le=0.5)]
    seed: Seed


class Ensemble(Section):
    """Which ensemble is selected, and the dropout and width of the feature ensemble."""

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
    log: LoggerName

    @field_validator("log")
    @classmethod
    def _can_be_written(cls, value: LoggerName) -> LoggerName:
        try:
            require_logger(value)
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
    def _layers_can_be_unfrozen(self) -> Self:
        unfrozen = self.train.trainable_backbone_layers
        by_name = dict.fromkeys(self.backbones, unfrozen) if isinstance(unfrozen, int) else unfrozen
        for name, layers in by_name.items():
            if name not in self.backbones:
                raise ValueError(
                    f"train.trainable_backbone_layers names {name!r}; backbones has {', '.join(self.backbones)}"
                )
            if 0 < layers < 5 and self.backbones[name].weights == "random":
                raise ValueError(
                    f"train.trainable_backbone_layers unfreezes {layers} of 5 layers of {name}, whose weights are random: "
                    "take 0 (frozen) or 5 (trained from scratch), or give it trained weights"
                )
        return self


def check_params(params: Mapping[str, Any]) -> None:
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
