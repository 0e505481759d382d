"""The linear head beside the logistic one, on frozen features of vehicles, scenes and the generated sample.

    python benchmarks/heads.py --archives DIR [--work DIR] [--json FILE]

On each set, means over splits by group: the linear head as the preset trains it, and with each pair of learning rate
and batch size of the preset's study, less the logistic head, whose penalty folds choose. A head's first epoch may be
the one that is kept only where all later ones are clearly worse. --archives is as in scratch.py; --work is where clones
and features are made, and found again.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from backbones import LITE2, VARIANTS, extracted
from figures import Figure, at_least, at_most, conclude, make_parser, reported
from scratch import SCENES, VEHICLES, WEIGHTS, change_params, make_clone, read_params, read_preset, repro, require_files
from tandem.evaluation.metrics import log_loss, top1_accuracy
from tandem.evaluation.scores import predictions_on
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.features import load_features_of
from tandem.tables.samples import Samples, load_samples
from tandem.training.heads import train_all
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task

SETS = {"vehicles": VEHICLES, "scenes": SCENES}
PHOTO_VARIANTS = ("MobileNetV2 @224", "Lite2 @352, bicubic, GeM")  # the second as in the vehicles preset
MAX_SHORTFALL = 0.005  # of top-1 accuracy, as the preset has the head
MAX_SHORTFALL_OF_PAIR = 0.02


class Fits(NamedTuple):
    """Heads of one kind, one a split: scores on test after calibration, and the epoch that each keeps (0: none)."""

    top1_accuracy: list[float]
    log_loss: list[float]
    kept_epoch: list[int]
    cpu_s: float


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE2, *VEHICLES.values(), *SCENES.values())
    figures, details = list[Figure](), dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="tandem-heads-") as work:
        for name, features, samples, params in all_sets(arguments.work or Path(work), archives):
            fits = fits_on_splits(features, samples, params, arguments.splits)
            figures += figures_of(name, fits)
            details[name] = {head: fitted._asdict() for head, fitted in fits.items()}
    conclude(figures, arguments, details={"sets": details})


def all_sets(work: Path, archives: Path) -> Iterator[tuple[str, np.ndarray, Samples, Mapping[str, Any]]]:
    """Name, features (N, k, D), samples and parameters of each set and backbone."""
    for preset, sources in SETS.items():
        clone, params = work / preset, read_preset(preset)
        if not (clone / "data/curate").is_dir():
            make_clone(clone, preset, archives, sources)
            change_params(clone, lambda values: values["backbones"].pop("resnet50"))
            repro(clone, "curate")
        for variant in PHOTO_VARIANTS:
            path = work / f"{preset} {variant}.npy"
            if not path.is_file():
                np.save(path, extracted(VARIANTS[variant], clone, archives, read_params(clone)))
            yield f"{preset}, {variant}", np.load(path), load_samples(clone / "data/curate"), params
    clone, params = work / "sample", read_preset("sample")
    if not (clone / "data/curate").is_dir():
        make_clone(clone, "sample", archives, {})
        repro(clone, "extract", "curate")
    samples = load_samples(clone / "data/curate")
    for backbone, features in load_features_of(clone / "data/extract", params["backbones"], ids=samples.ids).items():
        yield f"sample, {backbone}", np.asarray(features), samples, params


def fits_on_splits(
    features: np.ndarray, samples: Samples, params: Mapping[str, Any], num_splits: int
) -> dict[str, Fits]:
    """The logistic head, the linear one of the preset, and that of each pair, "lr x batch size"."""
    fractions, preset = params["curate"]["fractions"], section(params, "train", TrainSettings)
    splits = repeated_splits(samples, fractions=fractions, first_seed=0, num_splits=num_splits)
    linear = replace(preset, head="linear", trainable_backbone_layers=0)
    heads = {"logistic": replace(linear, head="logistic"), "linear": linear}
    for lr, batch_size in product(params["study"]["lr"], params["study"]["batch_size"]):
        heads[f"{lr} x {batch_size}"] = replace(linear, lr=lr, batch_size=batch_size)
    return {name: fits_of(features, list(splits.values()), settings) for name, settings in heads.items()}


def fits_of(features: np.ndarray, splits: Sequence[Samples], settings: TrainSettings) -> Fits:
    started = time.process_time()
    trained = train_all([head_task(features, split, settings, "head") for split in splits])
    cpu_s = time.process_time() - started
    found = [predictions_on(split.test, head.logits) for split, head in zip(splits, trained, strict=True)]
    kept = [int(head.choices.get("best_epoch", 0)) for head in trained]
    return Fits([top1_accuracy(each) for each in found], [log_loss(each) for each in found], kept, cpu_s)


def figures_of(name: str, fits: Mapping[str, Fits]) -> list[Figure]:
    logistic, figures = fits["logistic"], list[Figure]()
    figures.append(reported(f"{name}: logistic, top-1 accuracy", fmean(logistic.top1_accuracy), ".4f"))
    figures.append(reported(f"{name}: logistic, log loss", fmean(logistic.log_loss), ".4f"))
    figures.append(reported(f"{name}: logistic, CPU s of all splits", logistic.cpu_s, ".2f"))
    for head, fitted in fits.items():
        if head == "logistic":
            continue
        gains = np.subtract(fitted.top1_accuracy, logistic.top1_accuracy)
        limit = MAX_SHORTFALL if head == "linear" else MAX_SHORTFALL_OF_PAIR
        figures.append(at_least(f"{name}: {head} less logistic, top-1 accuracy", -limit, float(gains.mean()), "+.4f"))
        error = float(gains.std(ddof=1) / len(gains) ** 0.5)
        figures.append(reported(f"{name}: {head}, standard error over splits", error, ".4f"))
        losses = float(np.subtract(fitted.log_loss, logistic.log_loss).mean())
        figures.append(reported(f"{name}: {head} less logistic, log loss", losses, "+.4f"))
        first = sum(kept == 1 for kept in fitted.kept_epoch)
        figures.append(at_most(f"{name}: {head}, splits on which the first epoch is kept", 0, first, ".0f"))
        figures.append(reported(f"{name}: {head}, CPU s of all splits", fitted.cpu_s, ".2f"))
    return figures


if __name__ == "__main__":
    main()
