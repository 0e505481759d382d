"""How far probs are to be believed, and the one number that makes logits more believable: a temperature."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tandem.evaluation.metrics import NUM_BINS, Predictions, confidence_bins, log_loss, predict, softmax

# temperatures tried; a small split that is all right would ask for the lowest of all
_LOWEST, _HIGHEST = 0.2, 20.0
_PRIOR_SCALE = 0.2  # of log T; of 0.05 to 0.4, and of normal priors, the best one on photographs of two label sets
_TOLERANCE = 1e-10  # relative to the temperature
_NUM_TRIED = 33  # temperatures between 1 and that of maximum likelihood; the prior can make two of them good ones
_MAX_STEPS = 100
_GOLDEN, _LOG_TOLERANCE = (math.sqrt(5) - 1) / 2, 1e-6


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence lies in (low, high]: how many, its mean, and the fraction that is right."""

    low: float
    high: float
    images: int
    confidence: float
    top1_accuracy: float


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The likeliest T from 0.2 to 20 by which logits are to be divided (Guo et al. 2017, section 4.2).

    logits: (n, C). targets: (n,) class indices. A hundred images do not say how believable logits are: maximum
    likelihood alone made log losses on test worse than T = 1. So log T has a Cauchy prior around 0, weak and with heavy
    tails as in Gelman et al. 2008: small deviations ask for evidence, and large ones have it. Of thousands of images
    the prior does not matter. 1.0 without rows, or where no T has a lower log loss than 1; the log_loss of
    tandem.evaluation.metrics, which caps what a prob of 0 costs, is not raised either.
    """
    if not len(targets):
        return 1.0
    margins = _margins(logits, targets)
    temperature = math.exp(_shrunk(margins, -math.log(_max_likelihood_scale(margins))))
    fitted, plain = ((_mean_log_sum(margins / t), log_loss(predict(logits / t, targets))) for t in (temperature, 1.0))
    return temperature if fitted[0] < plain[0] and fitted[1] <= plain[1] else 1.0


def max_likelihood_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The T from 0.2 to 20 for which softmax(logits / T) has the lowest log loss on rows, one at least.

    It says how good logits are whatever their scale, and is too sure of few rows to calibrate by. Arguments as in
    fit_temperature.
    """
    return 1 / _max_likelihood_scale(_margins(logits, targets))


def _margins(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n, C) float64 logits less that of the row's target."""
    logits = np.asarray(logits, dtype=np.float64)
    return logits - logits[np.arange(len(targets)), targets][:, None]


def _shrunk(margins: np.ndarray, likeliest: float) -> float:
    """The log T that is best under the prior too. likeliest: that of maximum likelihood; it lies between 0 and that."""

    def cost(log_temperature: float) -> float:
        penalty = math.log1p((log_temperature / _PRIOR_SCALE) ** 2)
        return len(margins) * _mean_log_sum(margins / math.exp(log_temperature)) + penalty

    tried = np.linspace(0, likeliest, _NUM_TRIED).tolist()
    best = min(range(_NUM_TRIED), key=lambda number: cost(tried[number]))
    low, high = tried[max(0, best - 1)], tried[min(_NUM_TRIED - 1, best + 1)]
    while abs(high - low) > _LOG_TOLERANCE:  # golden section
        inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, outer) if cost(inner) <= cost(outer) else (inner, high)
    return (low + high) / 2


def _mean_log_sum(margins: np.ndarray) -> float:
    """Mean over rows (n, C) of the log of the sum of exp: the log loss, of which nothing is capped."""
    top = margins.max(axis=1, keepdims=True)
    return float((top[:, 0] + np.log(np.exp(margins - top).sum(axis=1))).mean())


def _max_likelihood_scale(margins: np.ndarray) -> float:
    """The factor within bounds at which the log loss of logits (n, C), less those of the targets, is lowest.

    The loss is convex in the factor. Newton's method, by halves where that would leave what is still possible.
    """
    low, high = 1 / _HIGHEST, 1 / _LOWEST
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


def reliability(predictions: Predictions, num_bins: int = NUM_BINS) -> list[ReliabilityBin]:
    """The bins of equal width that have an image, lowest first: the reliability diagram of Guo et al. 2017.

    A calibrated model has a top1_accuracy near to the confidence in each.
    """
    confidence, is_right = predictions.confidence, predictions.is_right
    edges, bins = np.arange(num_bins + 1) / num_bins, confidence_bins(predictions, num_bins)
    rows = []
    for number in np.unique(bins).tolist():
        inside = bins == number
        low, high = edges[number].item(), edges[number + 1].item()
        means = float(confidence[inside].mean()), float(is_right[inside].mean())
        rows.append(ReliabilityBin(low, high, int(inside.sum()), *means))
    return rows


def ece_under_calibration(predictions: Predictions, ids: Sequence[str], *, num_resamples: int, seed: int) -> np.ndarray:
    """(num_resamples,) the expected calibration errors that these probs would have by chance if they were calibrated.

    Whether an image is right is sampled by its confidence (consistency resampling, Bröcker & Smith 2007). ids: (n,) of
    images, and one that stands in several rows is sampled once for all of them.
    """
    confidence, bins = predictions.confidence, confidence_bins(predictions)
    image = np.unique(np.asarray(ids), return_inverse=True)[1]
    rng, num_images = np.random.default_rng(seed), int(image.max(initial=-1)) + 1
    errors = np.zeros(num_resamples)
    for number in range(num_resamples):
        is_right = rng.random(num_images)[image] < confidence
        errors[number] = np.abs(np.bincount(bins, weights=is_right - confidence)).sum() / len(predictions)
    return errors
