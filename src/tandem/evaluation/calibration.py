"""How far probs are to be believed, and the one number that makes logits more believable: a temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tandem.evaluation.metrics import log_loss, softmax

_COLDEST, _HOTTEST = 0.2, 20.0  # temperatures tried; a small split that is all right would ask for the coldest of all
_TOLERANCE = 1e-10  # share of the temperature
_MAX_STEPS = 100


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose top prob lies in (low, high]: how many, the mean of that prob, and the share that is right."""

    low: float
    high: float
    images: int
    confidence: float
    top1_accuracy: float


def fit_temperature(logits: np.ndarray, *, target: np.ndarray) -> float:
    """The T from 0.2 to 20 for which softmax(logits / T) has the lowest log loss (Guo et al. 2017, section 4.2).

    logits: (n, C). target: (n,) class indices. 1.0 without rows, or where no T has a lower log loss than 1; the
    log_loss of tandem.evaluation.metrics, which caps what a prob of 0 costs, is not raised either.
    """
    if not len(target):
        return 1.0
    logits = np.asarray(logits, dtype=np.float64)
    margins = logits - logits[np.arange(len(target)), target][:, None]
    temperature = 1 / _likeliest_scale(margins)
    fitted, plain = (
        (_mean_log_sum(margins / t), log_loss(target=target, probs=softmax(logits / t))) for t in (temperature, 1.0)
    )
    return temperature if fitted[0] < plain[0] and fitted[1] <= plain[1] else 1.0


def _mean_log_sum(margins: np.ndarray) -> float:
    """Mean over rows (n, C) of the log of the sum of exp: the log loss, of which nothing is capped."""
    top = margins.max(axis=1, keepdims=True)
    return float((top[:, 0] + np.log(np.exp(margins - top).sum(axis=1))).mean())


def _likeliest_scale(margins: np.ndarray) -> float:
    """The factor within bounds at which the log loss of logits (n, C), less those of the targets, is lowest.

    The loss is convex in the factor. Newton's method, by halves where that would leave what is still possible.
    """
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    scale = 1.0
    for _ in range(_MAX_STEPS):
        probs = softmax(scale * margins)
        means = (probs * margins).sum(axis=1, keepdims=True)
        slope, curvature = float(means.mean()), float((probs * (margins - means) ** 2).sum(axis=1).mean())
        low, high = (scale, high) if slope < 0 else (low, scale)
        step = scale - slope / curvature if curvature > 0 else low
        before, scale = scale, step if low < step < high else (low + high) / 2
        if abs(scale - before) <= _TOLERANCE * scale:
            break
    return scale


def apply_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """(n, C) float32 logits divided by a temperature above 0; the class on top stays on top."""
    return (logits / temperature).astype(np.float32)


def reliability(*, target: np.ndarray, probs: np.ndarray, num_bins: int = 15) -> list[ReliabilityBin]:
    """The bins of equal width that have an image, lowest first: the reliability diagram of Guo et al. 2017.

    target: (n,) class indices. probs: (n, C). A calibrated model has a top1_accuracy near to the confidence in each.
    """
    top, right = probs.max(axis=1), probs.argmax(axis=1) == target
    edges = np.arange(num_bins + 1) / num_bins
    bins = np.searchsorted(edges[1:-1], top, side="left")
    found = []
    for number in np.unique(bins).tolist():
        own = bins == number
        low, high = edges[number].item(), edges[number + 1].item()
        found.append(ReliabilityBin(low, high, int(own.sum()), float(top[own].mean()), float(right[own].mean())))
    return found


def expected_calibration_error(*, target: np.ndarray, probs: np.ndarray, num_bins: int = 15) -> float:
    """Mean over images of the gap between confidence and top-1 accuracy of their bin, in [0, 1]; nan without rows.

    Equation 3 of Guo et al. 2017. Never below 0 by chance: with few images a calibrated model too has some.
    """
    if not len(target):
        return float("nan")
    bins = reliability(target=target, probs=probs, num_bins=num_bins)
    return sum(own.images * abs(own.top1_accuracy - own.confidence) for own in bins) / len(target)


def ece_under_calibration(
    *, probs: np.ndarray, ids: Sequence[str], num_resamples: int, seed: int, num_bins: int = 15
) -> np.ndarray:
    """(num_draws,) the expected calibration errors that probs (n, C) would have by chance if they were calibrated.

    Whether an image is right is drawn by its own top prob (consistency resampling, Bröcker & Smith 2007); ids: (n,) of
    images, and one that stands in several rows is drawn once for all of them.
    """
    top, image = probs.max(axis=1), np.unique(np.asarray(ids), return_inverse=True)[1]
    bins = np.searchsorted(np.arange(1, num_bins) / num_bins, top, side="left")
    rng, count, errors = np.random.default_rng(seed), int(image.max(initial=-1)) + 1, np.zeros(num_resamples)
    for number in range(num_resamples):
        right = rng.random(count)[image] < top
        errors[number] = np.abs(np.bincount(bins, weights=right - top)).sum() / len(top)
    return errors


def brier_score(*, target: np.ndarray, probs: np.ndarray) -> float:
    """Mean over rows of the sum over classes of (prob - actual) ** 2, in [0, 2]; nan without rows.

    As Brier 1950 has it: for two classes, twice the score that takes only one of them.
    """
    if not len(target):
        return float("nan")
    return float(((probs - np.eye(probs.shape[1])[target]) ** 2).sum(axis=1).mean())
