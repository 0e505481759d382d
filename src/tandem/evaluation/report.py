"""Score models on one split: whole and with limits, against one another, by class, source and size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from tandem.evaluation import bootstrap as intervals
from tandem.evaluation import selective
from tandem.evaluation.calibration import ece_under_calibration, reliability
from tandem.evaluation.metrics import confusion, precision_recall_f1, softmax
from tandem.evaluation.scores import probs_of, score
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import read_csv, write_csv
from tandem.tables.samples import Samples

_SIZES = (0, 128, 256, 512)  # px, where the ranges of the shorter side begin


def score_with_intervals(
    logits: np.ndarray, samples: Samples, *, split: str, settings: EvaluateSettings
) -> dict[str, object]:
    """score, and as "interval" the limits of its first four at a level of 95 %, by a bootstrap over groups."""
    target, probs = probs_of(logits, samples, split)
    limits = intervals.score_intervals(
        target=target,
        probs=probs,
        groups=samples.split(split).groups,
        num_resamples=settings.num_resamples,
        seed=settings.seed,
    )
    return {
        **score(logits, samples, split=split),
        "interval": {name: {"low": limit.low, "high": limit.high} for name, limit in limits.items()},
    }


def compare(
    logits: np.ndarray, other: np.ndarray, samples: Samples, *, split: str, settings: EvaluateSettings
) -> dict[str, object]:
    """Scores of logits minus those of other, both (N, C), with limits and p values, and McNemar's test."""
    target, probs = probs_of(logits, samples, split)
    others = softmax(other[samples.split(split).rows])
    found = intervals.paired_difference(
        target=target,
        probs=probs,
        other_probs=others,
        groups=samples.split(split).groups,
        num_resamples=settings.num_resamples,
        seed=settings.seed,
    )
    test = intervals.mcnemar(target=target, predicted=probs.argmax(axis=1), other_predicted=others.argmax(axis=1))
    return {**{name: asdict(difference) for name, difference in found.items()}, "mcnemar": asdict(test)}


def best_on_val(logits: Mapping[str, np.ndarray], samples: Samples) -> str:
    """The model with the lowest log loss on validation, the first of several."""
    return min(logits, key=lambda name: score(logits[name], samples, split="val")["log_loss"])


def selective_scores(logits: np.ndarray, samples: Samples, *, split: str, max_error: float) -> dict[str, float]:
    """The confidence from which on at most max_error are wrong on validation; coverage and error of it on the split."""
    target, probs = probs_of(logits, samples, "val")
    threshold = selective.threshold_for(target=target, probs=probs, max_error=max_error)
    target, probs = probs_of(logits, samples, split)
    return asdict(selective.at_threshold(target=target, probs=probs, threshold=threshold))


def ece_expected_if_calibrated(
    probs: np.ndarray, ids: Sequence[str], *, settings: EvaluateSettings
) -> dict[str, float]:
    """Mean and highest (of 95 %) expected calibration error that probs (n, C) have by chance if they are calibrated."""
    errors = ece_under_calibration(probs=probs, ids=ids, num_resamples=settings.num_resamples, seed=settings.seed)
    return {"mean": float(errors.mean()), "high": float(np.quantile(errors, 0.95))}


def by_class(logits: np.ndarray, samples: Samples, *, split: str) -> dict[str, dict[str, float]]:
    """Class -> precision, recall, f1 and its number of images in the split."""
    target, predicted = samples.split(split).targets, logits[samples.split(split).rows].argmax(axis=1)
    table = confusion(target=target, predicted=predicted, num_classes=len(samples.class_names))
    values = zip(samples.class_names, *precision_recall_f1(table), table.sum(axis=1), strict=True)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(count)}
        for name, precision, recall, f1, count in values
    }


def by_source(logits: np.ndarray, samples: Samples, *, split: str) -> dict[str, dict[str, float]]:
    """Source -> top-1 accuracy and number of images in the split."""
    rows, target = samples.split(split).rows, samples.split(split).targets
    right = logits[rows].argmax(axis=1) == target
    sources = samples.split(split).sources
    return {
        name: {"top1_accuracy": float(right[sources == name].mean()), "images": int((sources == name).sum())}
        for name in sorted(set(sources.tolist()))
    }


def by_min_side(
    logits: np.ndarray, samples: Samples, *, split: str, min_sides: np.ndarray
) -> dict[str, dict[str, float]]:
    """Range of the shorter side in px -> top-1 accuracy and number of images in the split. short_sides: (N,)."""
    rows = samples.split(split).rows
    right, sides, found = logits[rows].argmax(axis=1) == samples.split(split).targets, min_sides[rows], {}
    for low, high in pairwise([*_SIZES, np.inf]):
        inside = (sides >= low) & (sides < high)
        if inside.any():
            name = f"{low}-{high - 1}" if high < np.inf else f"{low}-"
            found[name] = {"top1_accuracy": float(right[inside].mean()), "images": int(inside.sum())}
    return found


def report(
    logits: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    selected: str,
    singles: Sequence[str],
    split: str,
    min_sides: np.ndarray,
    settings: EvaluateSettings,
) -> dict[str, object]:
    """All of the above for the metrics. singles: the models of one backbone, of which the best on validation is the
    one that the selected model is held against. short_sides: (N,) px.
    """
    own, best = logits[selected], best_on_val({name: logits[name] for name in singles}, samples)
    models = {
        name: score_with_intervals(values, samples, split=split, settings=settings) for name, values in logits.items()
    }
    return {
        "selected": {
            "model": selected,
            **models[selected],
            "ece_expected_if_calibrated": ece_expected_if_calibrated(
                probs_of(own, samples, split)[1], samples.split(split).ids, settings=settings
            ),
        },
        "selected_minus_best_single": {
            "single": best,
            **compare(own, logits[best], samples, split=split, settings=settings),
        },
        "models": models,
        "selective": selective_scores(own, samples, split=split, max_error=settings.max_error),
        "classes": by_class(own, samples, split=split),
        "sources": by_source(own, samples, split=split),
        "by_min_side": by_min_side(own, samples, split=split, min_sides=min_sides),
        "images": len(samples.split(split).rows),
        "groups": len(set(samples.split(split).groups)),
    }


def reliability_table(logits: np.ndarray, samples: Samples, *, split: str) -> list[dict[str, float]]:
    """One dict a bin of confidence, for the reliability diagram."""
    target, probs = probs_of(logits, samples, split)
    return [asdict(row) for row in reliability(target=target, probs=probs)]


def risk_coverage_table(logits: np.ndarray, samples: Samples, *, split: str) -> list[dict[str, float]]:
    """One dict a threshold, for the curve of error over coverage."""
    target, probs = probs_of(logits, samples, split)
    return [asdict(point) for point in selective.risk_coverage(target=target, probs=probs)]


def predictions(logits: np.ndarray, samples: Samples, *, split: str) -> list[dict[str, str]]:
    """One dict an image of the split: id, actual and predicted class name, for the confusion plot."""
    side, names = samples.split(split), np.array(samples.class_names)
    actual, predicted = names[side.targets], names[logits[side.rows].argmax(axis=1)]
    rows = zip(side.ids, actual.tolist(), predicted.tolist(), strict=True)
    return [dict(zip(("id", "actual", "predicted"), row, strict=True)) for row in rows]


def save_tables(logits: np.ndarray, samples: Samples, folder: Path, *, split: str) -> None:
    """Write what the plots of one model show: confusion.csv, reliability.csv and risk_coverage.csv."""
    write_csv(folder / "confusion.csv", predictions(logits, samples, split=split))
    write_csv(folder / "reliability.csv", reliability_table(logits, samples, split=split))
    write_csv(folder / "risk_coverage.csv", risk_coverage_table(logits, samples, split=split))


def model_folders(names_in: Mapping[Path, Iterable[str]]) -> dict[str, Path]:
    """Model -> the folder that holds its logits and curves. names_in: folder -> the models in it."""
    return {name: folder / name for folder, names in names_in.items() for name in names}


def training_curves(folders: Mapping[str, Path]) -> list[dict[str, str]]:
    """The curves of all models as one table with a column `model`. folders: model -> its folder.

    A model that was not trained, such as a mean of others, has no curves.csv and no rows.
    """
    paths = {name: folder / "curves.csv" for name, folder in folders.items()}
    return [{"model": name, **row} for name, path in paths.items() if path.is_file() for row in read_csv(path)]
