"""Parameters that have no effect under the others.

A preset states every key, so a key may be there without effect. Who changes such a key from what a preset says is told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.features.settings import RANDOM
from tandem.pipeline.problems import Mistake
from tandem.sources.check import FOLDER_FORMATS

_OF_EPOCHS = ("lr", "batch_size", "epochs", "patience", "weight_decay", "dropout", "scheduler")


@dataclass(frozen=True)
class _Rule:
    """Where `holds`, the keys of a section have no effect; no keys are all of the section."""

    section: str
    keys: tuple[str, ...]
    holds: Callable[[Mapping[str, Any]], bool]
    text: str


def _is_frozen(params: Mapping[str, Any]) -> bool:
    layers = params["train"]["trainable_backbone_layers"]
    return not any(layers.values()) if isinstance(layers, Mapping) else layers == 0


def _is_trained(params: Mapping[str, Any]) -> bool:
    return all(each["weights"] != RANDOM for each in params["backbones"].values())


_RULES = (
    _Rule(
        "finetune",
        (),
        _is_frozen,
        "finetune has no effect: train.trainable_backbone_layers unfreezes no layer; set it to 1 ... 5 to fine-tune",
    ),
    _Rule(
        "finetune",
        ("patience",),
        lambda params: not _is_frozen(params) and params["finetune"]["keep"] == "last",
        "finetune.patience has no effect: finetune.keep is last, and all epochs are trained",
    ),
    _Rule(
        "train",
        _OF_EPOCHS,
        lambda params: params["train"]["head"] == "logistic",
        f"train.{', '.join(_OF_EPOCHS[:-1])} and {_OF_EPOCHS[-1]} have no effect on the heads: train.head is logistic; "
        "they are those of the ensembles logit and feature and of the study alone",
    ),
    _Rule(
        "train",
        ("patience",),
        lambda params: params["train"]["patience"] >= params["train"]["epochs"] - 1,
        "train.patience has no effect: the first epoch is kept at least, and so many more are as many as train.epochs "
        "or more; write a lower one to end trainings early",
    ),
    _Rule(
        "extract", ("seed",), _is_trained, "extract.seed has no effect: no backbone has random weights, which it is of"
    ),
)


def without_effect(params: Mapping[str, Any], presets: Sequence[Mapping[str, Any]]) -> Iterator[Mistake]:
    """What was set in vain. params: valid ones. presets: those in which every key is as it was shipped."""
    for rule in _RULES:
        if rule.holds(params) and not any(_is_shipped(rule, params, preset) for preset in presets):
            yield Mistake((rule.section, *rule.keys[:1]), rule.text)
    yield from _enlarged(params)
    yield from _not_smaller(params)
    for name, source in params["sources"].items():
        path, boxes = ("sources", name, "boxes"), source.get("boxes")
        if any(preset.get("sources", {}).get(name, {}).get("boxes") == boxes for preset in presets):
            continue
        if boxes and (source["kind"] == "sample" or source["format"] in FOLDER_FORMATS):
            yield Mistake(path, f"sources.{name}.boxes has no effect: whole images lie in folders there, without boxes")
        elif boxes and boxes["use"] == "whole" and boxes["margin"]:
            yield Mistake((*path, "margin"), f"sources.{name}.boxes.margin has no effect: boxes.use is whole; write 0")


def _enlarged(params: Mapping[str, Any]) -> Iterator[Mistake]:
    """Inputs of networks that are larger than what is stored of an image, which shows no more than a smaller one."""
    stored_px = params["ingest"]["max_side_px"]
    for section in ("extract", "label_errors", *(() if _is_frozen(params) else ("finetune",))):
        size_px = params[section].get("size_px")
        if None not in (stored_px, size_px) and size_px > stored_px:
            text = f"{section}.size_px is {size_px}, and images are stored at most ingest.max_side_px = {stored_px}"
            yield Mistake((section, "size_px"), f"{text}: they are enlarged again; raise ingest.max_side_px")


def _not_smaller(params: Mapping[str, Any]) -> Iterator[Mistake]:
    """Sizes of backbones' own to which no image is scaled down, and interpolations of their own without such a size.

    And a size of label_errors' own that is the one of all.
    """
    of_all, of_labels = params["extract"]["size_px"], params["label_errors"].get("size_px")
    if of_labels == of_all:
        text = (
            f"label_errors.size_px has no effect: extract.size_px is {of_all}, too; write another one, or leave it out"
        )
        yield Mistake(("label_errors", "size_px"), text)
    of_all = max(of_all, of_labels or 0)
    for name, backbone in params["backbones"].items():
        own = backbone.get("size_px")
        if own is not None and own >= of_all:
            text = f"backbones.{name}.size_px has no effect: extract.size_px is {of_all}, and no image is larger"
            yield Mistake(("backbones", name, "size_px"), f"{text}; write a smaller one, or leave it out")
        elif own is None and "interpolation" in backbone:
            text = f"backbones.{name}.interpolation has no effect: it is of a backbone that has a size_px of its own"
            yield Mistake(("backbones", name, "interpolation"), f"{text}; extract.interpolation is that of all")


def _is_shipped(rule: _Rule, params: Mapping[str, Any], preset: Mapping[str, Any]) -> bool:
    """Whether a preset has the same values to the same little effect."""
    ours, theirs = params[rule.section], preset.get(rule.section, {})
    return rule.holds(preset) and all(ours.get(key) == theirs.get(key) for key in rule.keys or ours)
