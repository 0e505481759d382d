"""How far scores may be off by the chance of which images were drawn: a bootstrap over groups.

Images of one group are alike, so a model is right or wrong about them together. Whole groups are drawn with
replacement, never single images (Davison & Hinkley 1997, section 3.8; Field & Welsh 2007): intervals that take such
images for independent are too narrow.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import bdtr
from threadpoolctl import threadpool_limits

from tandem.evaluation import metrics
from tandem.evaluation.metrics import log_loss, macro_f1, top1_accuracy

_NUM_BINS = 15  # as in tandem.evaluation.calibration
_CELLS = 2**21  # weights held at a time, 16 MB; how many resamples that is does not change them
_NAN = float("nan")

Statistic = Callable[[np.ndarray], np.ndarray]  # (num_draws, n) weights to (num_draws,) values


@dataclass(frozen=True)
class Interval:
    """A score, and between which bounds it lies by the chance of the draw."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The score of one model less that of another, its bounds, and how probable such a one is of models alike."""

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class McNemar:
    """How many images only one of two models has right, and how probable such a split is of models alike."""

    only_first_right: int
    only_second_right: int
    p_value: float


def resample_weights(groups: np.ndarray, *, num_resamples: int, seed: int) -> np.ndarray:
    """(num_draws, n) int32 weights: how often each row counts in each resample.

    groups: (n,) names. As many groups as there are, drawn with replacement; all rows of a group count alike. The weight
    of a group does not depend on the order of the rows.
    """
    return np.concatenate([block.astype(np.int32) for block in _blocks(groups, num_resamples=num_resamples, seed=seed)])


def top1_accuracies(weights: np.ndarray, *, target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(num_draws,) top-1 accuracies under (num_draws, n) weights."""
    return _means(weights, rows=target == predicted)


def macro_f1s(weights: np.ndarray, *, target: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(num_draws,) macro F1 under (num_draws, n) weights; as in tandem.evaluation.metrics, a class without any row counts 0."""
    classes = np.eye(num_classes)
    right = weights @ (classes[target] * (target == predicted)[:, None])
    rows = weights @ (classes[target] + classes[predicted])
    return np.divide(2 * right, rows, out=np.zeros_like(right), where=rows > 0).mean(axis=1)


def log_losses(weights: np.ndarray, *, target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(num_draws,) log losses in nats under (num_draws, n) weights."""
    return _means(weights, rows=metrics.log_losses(target=target, probs=probs))


def calibration_errors(weights: np.ndarray, *, target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(num_draws,) expected calibration errors, 15 bins, under (num_draws, n) weights."""
    top, right = probs.max(axis=1), probs.argmax(axis=1) == target
    bins = np.searchsorted(np.arange(1, _NUM_BINS) / _NUM_BINS, top, side="left")
    gaps = weights @ (np.eye(_NUM_BINS)[bins] * (right - top)[:, None])
    return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)


def score_intervals(
    *,
    target: np.ndarray,
    probs: np.ndarray,
    groups: np.ndarray,
    num_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """top1_accuracy, macro_f1, log_loss (nats) and ece, each with its percentile interval; all nan without rows.

    target: (n,) class indices. probs: (n, C). groups: (n,). value is the plain score of all rows. That of ece may lie
    at the lower bound or below it: a resample is a rougher sample than the rows themselves, and looks less calibrated.
    """
    num_classes, predicted = probs.shape[1], probs.argmax(axis=1)
    ece = partial(calibration_errors, target=target, probs=probs)
    statistics: dict[str, Statistic] = {
        "top1_accuracy": partial(top1_accuracies, target=target, predicted=predicted),
        "macro_f1": partial(macro_f1s, target=target, predicted=predicted, num_classes=num_classes),
        "log_loss": partial(log_losses, target=target, probs=probs),
        "ece": ece,
    }
    if not len(target):
        return {name: Interval(_NAN, _NAN, _NAN) for name in statistics}
    values = {
        "top1_accuracy": top1_accuracy(target=target, predicted=predicted),
        "macro_f1": macro_f1(target=target, predicted=predicted, num_classes=num_classes),
        "log_loss": log_loss(target=target, probs=probs),
        "ece": ece(np.ones((1, len(target)))).item(),
    }
    drawn = _resampled(statistics, groups, num_resamples=num_resamples, seed=seed)
    return {name: Interval(value, *_bounds(drawn[name], level)) for name, value in values.items()}


def paired_difference(
    *,
    target: np.ndarray,
    probs: np.ndarray,
    other_probs: np.ndarray,
    groups: np.ndarray,
    num_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """top1_accuracy and log_loss (nats) of probs less those of other_probs, on the same resamples; nan without rows.

    target: (n,) class indices. probs, other_probs: (n, C). groups: (n,). p_value: two-sided, the share of resamples in
    which the difference is on the other side of 0 or none (Davison & Hinkley 1997, section 4.4, for the + 1).
    """
    right, other_right = (each.argmax(axis=1) == target for each in (probs, other_probs))
    rows = {
        "top1_accuracy": right.astype(np.float64) - other_right,
        "log_loss": metrics.log_losses(target=target, probs=probs)
        - metrics.log_losses(target=target, probs=other_probs),
    }
    if not len(target):
        return {name: Difference(_NAN, _NAN, _NAN, _NAN) for name in rows}
    statistics = {name: partial(_means, rows=each) for name, each in rows.items()}
    drawn = _resampled(statistics, groups, num_resamples=num_resamples, seed=seed)
    return {
        name: Difference(float(each.mean()), *_bounds(drawn[name], level), _p_value(drawn[name]))
        for name, each in rows.items()
    }


def mcnemar(*, target: np.ndarray, predicted: np.ndarray, other_predicted: np.ndarray) -> McNemar:
    """The exact two-sided test of McNemar 1947 on the images, each (n,) class indices, that one of two has right.

    It takes images for independent: with groups of many images its p value is too small; see paired_difference.
    """
    right, other_right = predicted == target, other_predicted == target
    first, second = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    # of a fair coin, both tails are alike; scipy.stats has the test too, and takes over half a second to import
    return McNemar(first, second, min(1.0, 2 * float(bdtr(min(first, second), first + second, 0.5))))


def _means(weights: np.ndarray, *, rows: np.ndarray) -> np.ndarray:
    return weights @ rows.astype(np.float64) / weights.sum(axis=1)


def _blocks(groups: np.ndarray, *, num_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """The weights of draws, a block of resamples at a time."""
    names, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    rng, size = np.random.default_rng(seed), max(1, _CELLS // max(1, len(members)))
    for start in range(0, num_resamples, size):
        yield _counts(rng, len(names), num_resamples=min(size, num_resamples - start))[:, members]


def _counts(rng: np.random.Generator, num_groups: int, *, num_resamples: int) -> np.ndarray:
    """(num_draws, num_groups) multinomial counts; three times as fast as rng.multinomial is for thousands of groups."""
    drawn = rng.integers(num_groups, size=(num_resamples, num_groups)) + np.arange(num_resamples)[:, None] * num_groups
    return np.bincount(drawn.ravel(), minlength=num_resamples * num_groups).reshape(num_resamples, num_groups)


def _resampled(
    statistics: Mapping[str, Statistic], groups: np.ndarray, *, num_resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Name -> (num_draws,) values, all of the same resamples. The same bytes whatever the number of cores."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    with threadpool_limits(limits=1):
        for block in _blocks(groups, num_resamples=num_resamples, seed=seed):
            weights = block.astype(np.float64)  # products of integers are not done by BLAS, and slow
            for name, statistic in statistics.items():
                found[name].append(statistic(weights))
    return {name: np.concatenate(values) for name, values in found.items()}


def _bounds(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def _p_value(differences: np.ndarray) -> float:
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (tail + 1) / (len(differences) + 1)))
