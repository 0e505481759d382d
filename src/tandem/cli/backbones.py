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
from tandem.features.reuse import extract_backbone
from tandem.features.settings import BackboneSettings, ExtractSettings, Pooling, ProviderName
from tandem.pipeline.params import read_params, section, sections
from tandem.pipeline.settings import RuntimeSettings
from tandem.studies.candidates import Ranked, rank_backbones
from tandem.tables.samples import load_samples
from tandem.tables.stored import load_stored
from tandem.training.settings import TrainSettings

_DATA = Path("data")
_FORM = (
    "PROVIDER/ARCHITECTURE/WEIGHTS, such as timm/tf_efficientnet_lite0/in1k, and /LAYER for the features of an earlier "
    "layer, such as timm/tf_efficientnet_lite0/in1k/blocks.5; /gem or /max after it for another pooling"
)


def compare_backbones(names: Sequence[str], *, as_json: bool) -> None:
    """Rank the project's backbones and those that are named, and print a line for each.

    names: PROVIDER/ARCHITECTURE/WEIGHTS each, with /LAYER, /POOLING or both after it. Raises DataError where nothing
    was curated yet and for a name of another form, and WeightsError for an architecture, weights or a layer that there
    are not.
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
        print_json({"images": len(samples.train), "backbones": [_as_dict(each, costs[each.name]) for each in ranked]})
    else:
        typer.echo(_table(ranked, costs, num_images=len(samples.train), num_groups=len(set(samples.train.groups))))


def _candidate(name: str) -> BackboneSettings:
    provider, *rest = name.split("/")
    pooling = rest.pop() if len(rest) > 2 and rest[-1] in get_args(Pooling) else "average"
    if provider not in get_args(ProviderName) or len(rest) not in (2, 3):
        raise DataError(f"{name!r} names no backbone: write {_FORM}")
    architecture, weights, layer = (*rest, None)[:3]
    settings = BackboneSettings(
        weights,  # type: ignore[arg-type]
        architecture=architecture,
        provider=provider,  # type: ignore[arg-type]
        layer=layer,
        pooling=pooling,  # type: ignore[arg-type]
    )
    require_known(name, settings)
    return settings


def _features(
    backbones: Mapping[str, BackboneSettings], settings: ExtractSettings, runtime: RuntimeSettings
) -> dict[str, np.ndarray]:
    """Backbone -> (N, k, D), computed once: `dvc repro` finds them where a candidate becomes a backbone."""
    stored, found = load_stored(_DATA / "merge/stored.csv"), dict[str, np.ndarray]()
    for name, weights in backbones.items():
        extraction = extract_backbone(
            name,
            weights,
            settings,
            stored.packed(_DATA / "ingest"),
            ids=stored.sha256,
            compute=Compute(runtime.device, runtime.batch_size, runtime.workers),
            max_gb=runtime.feature_cache_gb,
        )
        found[name] = np.concatenate(list(extraction.batches))
    return found


def _as_dict(ranked: Ranked, cost: Cost) -> dict[str, Any]:
    return {**asdict(ranked), **asdict(cost)}


def _table(ranked: Sequence[Ranked], costs: Mapping[str, Cost], *, num_images: int, num_groups: int) -> str:
    width = max(8, *(len(each.name) for each in ranked))
    head = f"{'backbone':<{width}}  top-1 accuracy       log loss  with the best         ms/image     MB"
    lines = [_line(each, costs[each.name], width=width) for each in ranked]
    return "\n".join(
        [
            f"a logistic head on frozen features, scored on {num_images} train images of {num_groups} groups that its "
            "fit has not seen; test is not looked at",
            "with the best: what the mean of both adds to its top-1 accuracy; 95 % intervals",
            "",
            head,
            *lines,
        ]
    )


def _line(ranked: Ranked, cost: Cost, *, width: int) -> str:
    accuracy, gain = ranked.top1_accuracy, ranked.gain
    interval = f"{accuracy.value:.3f} ({accuracy.low:.3f}-{accuracy.high:.3f})"
    gained = "" if gain is None else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    return (
        f"{ranked.name:<{width}}  {interval:<19}  {ranked.log_loss:>8.3f}  {gained:<24}  {cost.ms:>5.1f}  "
        f"{cost.megabytes:>5.0f}"
    )
