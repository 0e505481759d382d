"""The report on test: the scores of every model with their intervals, and the selected one in detail.

By class, by source, by size, against the best single model, and with images left to a person.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from tandem.evaluation import selective
from tandem.evaluation.bootstrap import mcnemar, paired_difference, score_intervals
from tandem.evaluation.calibration import ece_under_calibration, reliability
from tandem.evaluation.conformal import set_scores, set_threshold
from tandem.evaluation.metrics import Predictions, class_scores, predict
from tandem.evaluation.scores import best_on, predictions_on, score
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import read_csv, write_csv
from tandem.tables.samples import Samples

_SIZES = (0, 128, 256, 512)  # px, where the ranges of the shorter side begin


def report(
    logits: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    selected: str,
    singles: Sequence[str],
    student: str,
    exported: np.ndarray,
    min_sides: np.ndarray,
    settings: EvaluateSettings,
) -> dict[str, object]:
    """All that follows, of test, for the metrics. logits: model -> (N, C).

    singles: the models of one backbone; the selected model is compared with the best of them on validation. student:
    the model that is compared with the selected one. exported: (n, C) logits of test by the file that is handed out.
    min_sides: (N,) shorter side of each image in px.
    """
    test, best = samples.test, best_on(samples.val, {name: logits[name] for name in singles})
    predictions = {name: predictions_on(test, values) for name, values in logits.items()}
    models = {name: score_with_intervals(each, test.groups, settings) for name, each in predictions.items()}
    chosen, val = predictions[selected], predictions_on(samples.val, logits[selected])
    threshold = set_threshold(val, samples.val.groups, coverage=settings.set_coverage)
    return {
        "selected": {
            "model": selected,
            **models[selected],
            "ece_expected_if_calibrated": ece_expected_if_calibrated(chosen, test.ids, settings),
        },
        "selected_minus_best_single": {"single": best, **compare(chosen, predictions[best], test.groups, settings)},
        "student_minus_selected": compare(predictions[student], chosen, test.groups, settings),
        "models": models,
        "exported": score_with_intervals(predict(exported, test.targets), test.groups, settings),
        "selective": selective_scores(chosen, val=val, max_error=settings.max_error),
        "prediction_sets": set_scores(chosen, test.groups, threshold=threshold, settings=settings),
        "classes": by_class(chosen, samples.class_names),
        "sources": by_source(chosen, test.sources),
        "by_min_side": by_min_side(chosen, min_sides[test.rows]),
        "images": len(test),
        "groups": len(set(test.groups.tolist())),
    }


def score_with_intervals(predictions: Predictions, groups: np.ndarray, settings: EvaluateSettings) -> dict[str, object]:
    """All scores, and as "interval" the 95 % confidence intervals by a bootstrap over groups (n,)."""
    intervals = score_intervals(predictions, groups, num_resamples=settings.num_resamples, seed=settings.seed)
    return {
        **score(predictions),
        "interval": {name: {"low": interval.low, "high": interval.high} for name, interval in intervals.items()},
    }


def compare(
    predictions: Predictions, other: Predictions, groups: np.ndarray, settings: EvaluateSettings
) -> dict[str, object]:
    """Scores minus those of the other model, with intervals and p values, and McNemar's test. groups: (n,)."""
    differences = paired_difference(
        predictions, other, groups, num_resamples=settings.num_resamples, seed=settings.seed
    )
    return {
        **{name: asdict(difference) for name, difference in differences.items()},
        "mcnemar": asdict(mcnemar(predictions, other)),
    }


def selective_scores(predictions: Predictions, *, val: Predictions, max_error: float) -> dict[str, float | None]:
    """The confidence from which on at most max_error are wrong on val; coverage and risk of it on predictions."""
    threshold = selective.threshold_for(val, max_error=max_error)
    return asdict(selective.at_threshold(predictions, threshold))


def ece_expected_if_calibrated(
    predictions: Predictions, ids: Sequence[str], settings: EvaluateSettings
) -> dict[str, float]:
    """Mean and 95 % quantile of the expected calibration error that these probs have by chance if calibrated."""
    errors = ece_under_calibration(predictions, ids, num_resamples=settings.num_resamples, seed=settings.seed)
    return {"mean": float(errors.mean()), "high": float(np.quantile(errors, 0.95))}


def by_class(predictions: Predictions, class_names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Class -> precision, recall, f1 and its support, the number of its images."""
    scores = class_scores(predictions, np.ones(len(predictions)))
    columns = zip(class_names, scores.precision, scores.recall, scores.f1, scores.support, strict=True)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
        for name, precision, recall, f1, support in columns
    }


def by_source(predictions: Predictions, sources: np.ndarray) -> dict[str, dict[str, float]]:
    """Source -> top-1 accuracy and number of images. sources: (n,) names."""
    return {name: _accuracy_of(predictions, sources == name) for name in sorted(set(sources.tolist()))}


def by_min_side(predictions: Predictions, min_sides: np.ndarray) -> dict[str, dict[str, float]]:
    """Range of the shorter side in px -> top-1 accuracy and number of images. min_sides: (n,)."""
    ranges = {
        f"{low}-{high - 1}" if high < np.inf else f"{low}-": (min_sides >= low) & (min_sides < high)
        for low, high in pairwise([*_SIZES, np.inf])
    }
    return {name: _accuracy_of(predictions, inside) for name, inside in ranges.items() if inside.any()}


def _accuracy_of(predictions: Predictions, picked: np.ndarray) -> dict[str, float]:
    return {"top1_accuracy": float(predictions.is_right[picked].mean()), "images": int(picked.sum())}


def reliability_table(predictions: Predictions) -> list[dict[str, float]]:
    """One dict a bin of confidence, for the reliability diagram."""
    return [asdict(row) for row in reliability(predictions)]


def risk_coverage_table(predictions: Predictions) -> list[dict[str, float]]:
    """One dict a threshold, for the risk-coverage curve."""
    return [asdict(point) for point in selective.risk_coverage(predictions)]


def confusion_table(predictions: Predictions, ids: Sequence[str], class_names: Sequence[str]) -> list[dict[str, str]]:
    """One dict an image: id, actual and predicted class name, for the confusion plot."""
    names = np.array(class_names)
    columns = zip(ids, names[predictions.targets].tolist(), names[predictions.predicted].tolist(), strict=True)
    return [{"id": id_, "actual": actual, "predicted": predicted} for id_, actual, predicted in columns]


def save_tables(predictions: Predictions, ids: Sequence[str], class_names: Sequence[str], folder: Path) -> None:
    """Write what the plots of one model show: confusion.csv, reliability.csv and risk_coverage.csv."""
    write_csv(folder / "confusion.csv", confusion_table(predictions, ids, class_names))
    write_csv(folder / "reliability.csv", reliability_table(predictions))
    write_csv(folder / "risk_coverage.csv", risk_coverage_table(predictions))


def model_folders(models_in: Mapping[Path, Iterable[str]]) -> dict[str, Path]:
    """Model -> the folder that holds its logits and curves. models_in: folder -> the models in it."""
    return {name: folder / name for folder, names in models_in.items() for name in names}


def training_curves(folders: Mapping[str, Path]) -> list[dict[str, str]]:
    """The curves of all models as one table with a column `model`. folders: model -> its folder.

    A model that was not trained, such as a mean of others, has no curves.csv and no rows.
    """
    paths = {name: folder / "curves.csv" for name, folder in folders.items()}
    return [{"model": name, **row} for name, path in paths.items() if path.is_file() for row in read_csv(path)]
