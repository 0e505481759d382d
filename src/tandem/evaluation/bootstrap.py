"""How far scores may be off by the chance of which images there are: a bootstrap over groups.

Images of one group are alike, so a model is right or wrong about them together. Whole groups are resampled with
replacement, never single images (Davison & Hinkley 1997, section 3.8; Field & Welsh 2007): intervals that take such
images for independent are too narrow.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.evaluation.metrics import METRICS, WITH_INTERVALS, Metric, Predictions

_CELLS = 2**21  # weights held at a time, 16 MB; how many resamples that is does not change them
_COMPARED = ("top1_accuracy", "log_loss")  # of two models
_LEVEL = 0.95
_NAN = float("nan")

_Statistic = Callable[[np.ndarray], np.ndarray]  # (R, n) weights to (R,) values


@dataclass(frozen=True)
class Interval:
    """A score and its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The score of one model less that of another, its interval, and its p value if the models were alike."""

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class McNemar:
    """How many images only one of two models has right, and the p value of that if the models were alike."""

    only_first_right: int
    only_second_right: int
    p_value: float


def resample_weights(groups: np.ndarray, *, num_resamples: int, seed: int) -> np.ndarray:
    """(num_resamples, n) int32 weights: how often each row counts in each resample.

    groups: (n,) names. As many groups as there are, sampled with replacement; all rows of a group count alike. The
    weight of a group does not depend on the order of the rows.
    """
    return np.concatenate([block.astype(np.int32) for block in _blocks(groups, num_resamples=num_resamples, seed=seed)])


def score_intervals(
    predictions: Predictions, groups: np.ndarray, *, num_resamples: int, seed: int, level: float = _LEVEL
) -> dict[str, Interval]:
    """The metrics WITH_INTERVALS, each with its percentile interval; all nan without rows. groups: (n,) names.

    value is the plain score of all rows. That of ece may lie at the lower bound or below it: a resample is a rougher
    sample than the rows themselves, and looks less calibrated.
    """
    metrics = {name: METRICS[name] for name in WITH_INTERVALS}
    if not len(predictions):
        return {name: Interval(_NAN, _NAN, _NAN) for name in metrics}
    statistics = {name: partial(metric.weighted, predictions) for name, metric in metrics.items()}
    resampled = _resampled(statistics, groups, num_resamples=num_resamples, seed=seed)
    return {name: Interval(metric(predictions), *_bounds(resampled[name], level)) for name, metric in metrics.items()}


def group_mean_interval(
    values: np.ndarray, groups: np.ndarray, *, num_resamples: int, seed: int, level: float = _LEVEL
) -> Interval:
    """The mean over groups (n,) of the mean of their values (n,), with its percentile interval; nan without rows."""
    if not len(values):
        return Interval(_NAN, _NAN, _NAN)
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    parts = 1 / sizes[group_of]
    statistic = {"mean": lambda weights: (weights @ (values * parts)) / (weights @ parts)}
    resampled = _resampled(statistic, groups, num_resamples=num_resamples, seed=seed)["mean"]
    return Interval(float((values * parts).sum() / parts.sum()), *_bounds(resampled, level))


def paired_difference(
    predictions: Predictions,
    other: Predictions,
    groups: np.ndarray,
    *,
    num_resamples: int,
    seed: int,
    level: float = _LEVEL,
) -> dict[str, Difference]:
    """top1_accuracy and log_loss (nats) of predictions less those of other, on the same resamples; nan without rows.

    groups: (n,) names. p_value: two-sided, the fraction of resamples in which the difference is on the other side of 0
    or none (Davison & Hinkley 1997, section 4.4, for the + 1).
    """
    metrics = {name: METRICS[name] for name in _COMPARED}
    if not len(predictions):
        return {name: Difference(_NAN, _NAN, _NAN, _NAN) for name in metrics}
    statistics = {name: _difference(metric, predictions, other) for name, metric in metrics.items()}
    resampled = _resampled(statistics, groups, num_resamples=num_resamples, seed=seed)
    return {
        name: Difference(
            metric(predictions) - metric(other), *_bounds(resampled[name], level), _p_value(resampled[name])
        )
        for name, metric in metrics.items()
    }


def mcnemar(predictions: Predictions, other: Predictions) -> McNemar:
    """The exact two-sided test of McNemar 1947 on the images that one of two models has right.

    It takes images for independent: with groups of many images its p value is too small; see paired_difference.
    """
    right, other_right = predictions.is_right, other.is_right
    first, second = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    # of a fair coin, both tails are alike
    return McNemar(first, second, min(1.0, 2 * _at_most_heads(min(first, second), first + second)))


def _at_most_heads(number: int, tosses: int) -> float:
    """The probability of so many heads or fewer: by whole numbers, without rounding, and without importing SciPy."""
    ways, total = 1, 1
    for heads in range(number):
        ways = ways * (tosses - heads) // (heads + 1)
        total += ways
    return total / 2**tosses


def _difference(metric: Metric, predictions: Predictions, other: Predictions) -> _Statistic:
    return lambda weights: metric.weighted(predictions, weights) - metric.weighted(other, weights)


def _blocks(groups: np.ndarray, *, num_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """The weights of the resamples, a block of them at a time."""
    names, group_of = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    rng, size = np.random.default_rng(seed), max(1, _CELLS // max(1, len(group_of)))
    for start in range(0, num_resamples, size):
        yield _group_counts(rng, len(names), num_resamples=min(size, num_resamples - start))[:, group_of]


def _group_counts(rng: np.random.Generator, num_groups: int, *, num_resamples: int) -> np.ndarray:
    """(num_resamples, num_groups) multinomial counts; for thousands of groups 3 times as fast as rng.multinomial."""
    first_cells = np.arange(num_resamples)[:, None] * num_groups
    cells = rng.integers(num_groups, size=(num_resamples, num_groups)) + first_cells
    return np.bincount(cells.ravel(), minlength=num_resamples * num_groups).reshape(num_resamples, num_groups)


def _resampled(
    statistics: Mapping[str, _Statistic], groups: np.ndarray, *, num_resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Name -> (num_resamples,) values, all of the same resamples. The same bytes whatever the number of cores."""
    values: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    with threadpool_limits(limits=1):
        for block in _blocks(groups, num_resamples=num_resamples, seed=seed):
            weights = block.astype(np.float64)  # products of integers are not done by BLAS, and slow
            for name, statistic in statistics.items():
                values[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def _bounds(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def _p_value(differences: np.ndarray) -> float:
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (tail + 1) / (len(differences) + 1)))
