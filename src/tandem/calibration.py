"""How far probs are to be believed, and the one number that makes logits more believable: a temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from tandem.metrics import log_loss, softmax

_COLDEST, _HOTTEST = 0.2, 20.0  # temperatures tried; a small split that is all right would ask for the coldest of all
_TOLERANCE = 1e-8  # of the log of the temperature


@dataclass(frozen=True)
class Bin:
    """The pictures whose top prob lies in (low, high]: how many, the mean of that prob, and the share that is right."""

    low: float
    high: float
    pictures: int
    confidence: float
    top1_accuracy: float


def fit_temperature(logits: np.ndarray, *, target: np.ndarray) -> float:
    """The T from 0.2 to 20 for which softmax(logits / T) has the lowest log loss (Guo et al. 2017, section 4.2).

    logits: (n, C). target: (n,) class indices. 1.0 without rows, or where no T has a lower log loss than 1; the
    log_loss of tandem.metrics, which caps what a prob of 0 costs, is not raised either.
    """
    if not len(target):
        return 1.0
    logits = np.asarray(logits, dtype=np.float64)
    margins = logits - logits[np.arange(len(target)), target][:, None]

    def loss(log_temperature: float) -> float:  # convex in 1 / T, so it has one valley in log T too
        return float(logsumexp(margins / np.exp(log_temperature), axis=1).mean())

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": _TOLERANCE})
    temperature = float(np.exp(found.x))
    capped = [log_loss(target=target, probs=softmax(logits / t)) for t in (temperature, 1.0)]
    return temperature if found.fun < loss(0.0) and capped[0] <= capped[1] else 1.0


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """(n, C) float32 logits divided by a temperature above 0; the class on top stays on top."""
    return (logits / temperature).astype(np.float32)


def reliability(*, target: np.ndarray, probs: np.ndarray, num_bins: int = 15) -> list[Bin]:
    """The bins of equal width that have a picture, lowest first: the reliability diagram of Guo et al. 2017.

    target: (n,) class indices. probs: (n, C). A calibrated model has a top1_accuracy near to the confidence in each.
    """
    top, right = probs.max(axis=1), probs.argmax(axis=1) == target
    edges = np.arange(num_bins + 1) / num_bins
    bins = np.searchsorted(edges[1:-1], top, side="left")
    found = []
    for number in np.unique(bins).tolist():
        own = bins == number
        low, high = edges[number].item(), edges[number + 1].item()
        found.append(Bin(low, high, int(own.sum()), float(top[own].mean()), float(right[own].mean())))
    return found


def expected_calibration_error(*, target: np.ndarray, probs: np.ndarray, num_bins: int = 15) -> float:
    """Mean over pictures of the gap between confidence and top-1 accuracy of their bin, in [0, 1]; nan without rows.

    Equation 3 of Guo et al. 2017. Never below 0 by chance: with few pictures a calibrated model too has some.
    """
    if not len(target):
        return float("nan")
    bins = reliability(target=target, probs=probs, num_bins=num_bins)
    return sum(own.pictures * abs(own.top1_accuracy - own.confidence) for own in bins) / len(target)


def errors_by_chance(
    *, probs: np.ndarray, ids: Sequence[str], num_draws: int, seed: int, num_bins: int = 15
) -> np.ndarray:
    """(num_draws,) the expected calibration errors that probs (n, C) would have by chance if they were calibrated.

    Whether a picture is right is drawn by its own top prob (consistency resampling, Bröcker & Smith 2007); ids: (n,) of
    pictures, and one that stands in several rows is drawn once for all of them.
    """
    top, picture = probs.max(axis=1), np.unique(np.asarray(ids), return_inverse=True)[1]
    bins = np.searchsorted(np.arange(1, num_bins) / num_bins, top, side="left")
    rng, count, errors = np.random.default_rng(seed), int(picture.max(initial=-1)) + 1, np.zeros(num_draws)
    for number in range(num_draws):
        right = rng.random(count)[picture] < top
        errors[number] = np.abs(np.bincount(bins, weights=right - top)).sum() / len(top)
    return errors


def brier_score(*, target: np.ndarray, probs: np.ndarray) -> float:
    """Mean over rows of the sum over classes of (prob - actual) ** 2, in [0, 2]; nan without rows.

    As Brier 1950 has it: for two classes, twice the score that takes only one of them.
    """
    if not len(target):
        return float("nan")
    return float(((probs - np.eye(probs.shape[1])[target]) ** 2).sum(axis=1).mean())
