"""Conformal prediction where images of a group depend on one another: thresholds that hold for a new group.

Split conformal prediction (Vovk et al. 2005; Papadopoulos et al. 2002) takes images for exchangeable. Here the groups
are: of a new group, drawn as those of validation were, an image taken at random has a score at or below the threshold
with at least the wanted probability (Lee, Barber & Willett 2023, https://arxiv.org/abs/2306.06342, section 3; Dunn,
Wasserman & Ramdas 2022). Where each group is one image, this is the usual way.

Prediction sets are those of the threshold method (LAC; Sadinle, Lei & Wasserman 2019): every class whose prob is at
least a threshold, the smallest sets on average of any way. APS and RAPS, which even out coverage over images, made
larger sets on photographs (benchmarks/unknown.py).
"""

from collections.abc import Sequence

import numpy as np

from tandem.evaluation.metrics import Predictions
from tandem.evaluation.settings import EvaluateSettings

_ROUNDING = 1e-9  # of a sum of weights


def conformal_threshold(scores: np.ndarray, groups: np.ndarray, *, coverage: float) -> float:
    """The score at or below which an image of a new group lies with a probability of at least `coverage`.

    scores: (n,). groups: (n,) names. Each of the K groups weighs 1 / (K + 1), which its images share; the rest is the
    new group's, which may lie anywhere. inf where there are too few groups: K < coverage / (1 - coverage).
    """
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(1 / sizes[group_of[order]]) / (len(sizes) + 1)
    first = int(np.searchsorted(reached, coverage - _ROUNDING))
    return float(scores[order[first]]) if first < len(scores) else float("inf")


def set_threshold(predictions: Predictions, groups: np.ndarray, *, coverage: float) -> float:
    """The prob from which on a class is in a set, by predictions of validation; 0 where there are too few groups."""
    probs = predictions.probs[np.arange(len(predictions)), predictions.targets]
    return max(0.0, -conformal_threshold(-probs, groups, coverage=coverage))


def prediction_sets(probs: np.ndarray, threshold: float) -> np.ndarray:
    """(n, C) probs to bool: the classes of each set. The most probable one is always in it, so that none is empty."""
    is_in = probs >= threshold
    is_in[np.arange(len(probs)), probs.argmax(axis=1)] = True
    return is_in


def ood_threshold(scores: np.ndarray, groups: np.ndarray, *, false_alarm_rate: float) -> float | None:
    """The OOD score above which an image is flagged, by scores (n,) of validation, as conformal_threshold has it.

    None where there are too few groups to flag any image.
    """
    threshold = conformal_threshold(scores, groups, coverage=1 - false_alarm_rate)
    return threshold if np.isfinite(threshold) else None


def is_ood(scores: np.ndarray, threshold: float | None) -> np.ndarray:
    """(n,) bool: which of the scores are flagged. threshold: see ood_threshold."""
    return np.zeros(len(scores), dtype=bool) if threshold is None else scores > threshold


def set_means(predictions: Predictions, groups: np.ndarray, *, threshold: float) -> dict[str, float]:
    """Coverage and mean size of the sets of predictions that are not empty; each group (n,) counts once."""
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return {
        name: float(np.average(values, weights=1 / sizes[group_of]))
        for name, values in _covered_and_sizes(predictions, threshold).items()
    }


def set_scores(
    predictions: Predictions, groups: np.ndarray, *, threshold: float, settings: EvaluateSettings
) -> dict[str, object]:
    """Coverage and mean size of the sets, with intervals, for the metrics; each group (n,) counts once."""
    from tandem.evaluation.bootstrap import group_mean_interval  # SciPy, which what predicts does without

    found = _covered_and_sizes(predictions, threshold)
    intervals = {
        name: group_mean_interval(values, groups, num_resamples=settings.num_resamples, seed=settings.seed)
        for name, values in found.items()
    }
    counts = np.bincount(found["mean_size"].astype(np.int64))
    return {
        "wanted": settings.set_coverage,
        "threshold": threshold,
        **{name: each.value for name, each in intervals.items()},
        "interval": {name: {"low": each.low, "high": each.high} for name, each in intervals.items()},
        "sizes": {str(size): int(count) for size, count in enumerate(counts) if count},
    }


def _covered_and_sizes(predictions: Predictions, threshold: float) -> dict[str, np.ndarray]:
    """(n,) float64 each: 1 where the set holds the class, and how many classes are in it."""
    is_in = prediction_sets(predictions.probs, threshold)
    is_covered = is_in[np.arange(len(predictions)), predictions.targets]
    return {"coverage": is_covered.astype(np.float64), "mean_size": is_in.sum(axis=1, dtype=np.float64)}


def names_in_set(probs: np.ndarray, threshold: float, class_names: Sequence[str]) -> list[str]:
    """The classes in the set of one image's probs (C,), the most probable first."""
    (is_in,) = prediction_sets(probs[None], threshold)
    return [class_names[index] for index in (-probs).argsort(kind="stable").tolist() if is_in[index]]
