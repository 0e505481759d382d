"""The command `tandem backbones`: which backbone suits these images, and which one beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import typer

from tandem.cli.output import print_json
from tandem.errors import DataError
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.backbones.catalog import require_known
from tandem.features.cost import Cost, measure_cost
from tandem.features.embedding import Compute
from tandem.features.reuse import extract_all
from tandem.features.settings import (
    BackboneSettings,
    ExtractSettings,
    Pooling,
    ProviderName,
    is_weights_path,
    weights_path,
)
from tandem.files import sha256
from tandem.pipeline.params import read_params, section, sections
from tandem.pipeline.settings import RuntimeSettings
from tandem.studies.candidates import Ranked, best_second, rank_backbones
from tandem.tables.samples import load_samples
from tandem.tables.stored import load_stored
from tandem.training.settings import TrainSettings

_DATA = Path("data")
_FORM = (
    "PROVIDER/ARCHITECTURE/WEIGHTS, such as timm/tf_efficientnet_lite0/in1k or torchvision/resnet18/weights.pth, and "
    "/LAYER for the features of an earlier layer, such as timm/tf_efficientnet_lite0/in1k/blocks.5; /gem or /max after "
    "it for another pooling"
)


def compare_backbones(names: Sequence[str], *, as_json: bool) -> None:
    """Rank the project's backbones and those that are named, and print a line for each.

    names: PROVIDER/ARCHITECTURE/WEIGHTS each, WEIGHTS being a name or a file, with /LAYER, /POOLING or both after it.
    Raises DataError where nothing was curated yet and for a name of another form, and WeightsError for an architecture,
    weights or a layer that there are not.
    """
    params = read_params()
    if not (_DATA / "curate/samples.csv").is_file():
        raise DataError("no images were curated in this folder yet; run `dvc repro curate` in the project's folder")
    backbones = {**sections(params, "backbones", BackboneSettings), **{name: _candidate(name) for name in names}}
    runtime, settings = section(params, "runtime", RuntimeSettings), section(params, "extract", ExtractSettings)
    samples, features = load_samples(_DATA / "curate"), _features(backbones, settings, runtime)
    ranked = rank_backbones(
        features, samples, train=section(params, "train", TrainSettings),
        evaluate=section(params, "evaluate", EvaluateSettings),
    )  # fmt: skip
    costs = {
        name: measure_cost(name, each, settings, device=runtime.device, batch_size=runtime.batch_size)
        for name, each in backbones.items()
    }
    if as_json:
        second, rows = best_second(ranked), [_as_dict(each, costs[each.name]) for each in ranked]
        print_json({"images": len(samples.train), "best_second": second and second.name, "backbones": rows})
    else:
        typer.echo(_table(ranked, costs, num_images=len(samples.train), num_groups=len(set(samples.train.groups))))


def _candidate(name: str) -> BackboneSettings:
    provider, architecture, rest = (*name.split("/", 2), "", "")[:3]
    before, _, last = rest.rpartition("/")
    pooling: Pooling = "average"
    if before and last in get_args(Pooling):
        rest, pooling = before, last  # type: ignore[assignment]
    if provider not in get_args(ProviderName) or not rest:
        raise DataError(f"{name!r} names no backbone: write {_FORM}")
    weights, layer = _weights_and_layer(rest)
    if weights is None:
        raise DataError(f"{name!r} names no backbone: there is no file {rest}; correct the path, or write {_FORM}")
    settings = BackboneSettings(
        weights,
        sha256=sha256(weights_path(weights)) if is_weights_path(weights) else None,
        architecture=architecture,
        provider=provider,  # type: ignore[arg-type]
        layer=layer,
        pooling=pooling,
    )
    require_known(name, settings)
    return settings


def _weights_and_layer(text: str) -> tuple[str | None, str | None]:
    """Of WEIGHTS or WEIGHTS/LAYER, where a file has slashes of its own; None for what is no name and no file."""
    before, slash, last = text.rpartition("/")
    for weights, layer in ((text, None), (before, last)):
        if is_weights_path(weights) and weights_path(weights).is_file():
            return weights, layer
    weights, layer = (before, last) if slash else (text, None)
    return (None, None) if not weights or is_weights_path(weights) else (weights, layer)


def _features(
    backbones: Mapping[str, BackboneSettings], settings: ExtractSettings, runtime: RuntimeSettings
) -> dict[str, np.ndarray]:
    """Backbone -> (N, k, D), computed once: `dvc repro` finds them where a candidate becomes a backbone."""
    stored = load_stored(_DATA / "merge/stored.csv")
    return extract_all(
        backbones,
        settings,
        stored.packed(_DATA / "ingest"),
        ids=stored.sha256,
        compute=Compute(runtime.device, runtime.batch_size, runtime.workers),
        max_gb=runtime.feature_cache_gb,
    )


def _as_dict(ranked: Ranked, cost: Cost) -> dict[str, Any]:
    return {**asdict(ranked), **asdict(cost)}


def _table(ranked: Sequence[Ranked], costs: Mapping[str, Cost], *, num_images: int, num_groups: int) -> str:
    width = max(8, *(len(each.name) for each in ranked))
    head = f"{'backbone':<{width}}  top-1 accuracy       log loss  with the best         ms/image      MB"
    lines = [_line(each, costs[each.name], width=width) for each in ranked]
    return "\n".join(
        [
            f"a logistic head on frozen features, scored on {num_images} train images of {num_groups} groups that its "
            "fit has not seen; test is not looked at",
            "with the best: what the mean of both adds to its top-1 accuracy; 95 % intervals",
            "",
            head,
            *lines,
            *_second_in_words(ranked),
        ]
    )


def _second_in_words(ranked: Sequence[Ranked]) -> list[str]:
    """Which one to take beside the best, after an empty line; nothing where there is one alone."""
    second, best = best_second(ranked), ranked[0].name
    if len(ranked) == 1:
        return []
    if second is None or second.gain is None:
        return ["", f"beside {best} none adds anything"]
    return ["", f"beside {best}, {second.name} adds most" + (", which may be chance" if second.gain.low <= 0 else "")]


def _line(ranked: Ranked, cost: Cost, *, width: int) -> str:
    accuracy, gain = ranked.top1_accuracy, ranked.gain
    interval = f"{accuracy.value:.3f} ({accuracy.low:.3f}-{accuracy.high:.3f})"
    gained = "" if gain is None else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    return (
        f"{ranked.name:<{width}}  {interval:<19}  {ranked.log_loss:>8.3f}  {gained:<24}  {cost.ms:>5.1f}  "
        f"{cost.megabytes:>6.1f}"
    )
