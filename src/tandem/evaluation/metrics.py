"""Each metric once: numbers that say how good predictions are, plain or under weights of their rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tandem.errors import DataError

SMALLEST_PROB = 1e-30  # of which a log is taken
NUM_BINS = 15  # of confidence, as in Guo et al. 2017
_EPSILON = np.finfo(np.float64).eps  # a prob of 0 costs -log of this


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of n images, and what they are.

    targets, predicted: (n,) int64 class indices. probs: (n, C) float64, rows that add up to 1. Raises DataError for
    other shapes.
    """

    targets: np.ndarray
    predicted: np.ndarray
    probs: np.ndarray

    def __post_init__(self) -> None:
        shapes = self.targets.shape, self.predicted.shape, self.probs.shape[:1]
        if self.probs.ndim != 2 or len(set(shapes)) != 1:
            raise DataError(f"probs of shape {self.probs.shape} for {len(self.targets)} images; train the model again")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def is_right(self) -> np.ndarray:
        """(n,) bool."""
        return self.predicted == self.targets

    @property
    def confidence(self) -> np.ndarray:
        """(n,) the highest prob of each row, in [0, 1]."""
        return self.probs.max(axis=1)


def predict(logits: np.ndarray, targets: np.ndarray) -> Predictions:
    """The predictions of logits (n, C) for rows of these targets (n,).

    The predicted class is the one of the highest logit: of logits that are nearly alike, probs can be the same.
    """
    return Predictions(targets, logits.argmax(axis=1), softmax(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """(n, C) logits to (n, C) float64 probs whose rows add up to 1."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def log_probs(probs: np.ndarray) -> np.ndarray:
    """Probs (..., C) to float32 logits, whose softmax they are; a prob below SMALLEST_PROB counts as that."""
    return np.log(np.clip(probs, SMALLEST_PROB, 1)).astype(np.float32)


@dataclass(frozen=True)
class Metric:
    """A metric, called with predictions alone: every row counts 1. nan without rows.

    weighted: predictions and weights (n,) or (R, n), of which each row has a sum above 0 -> one value or (R,).
    """

    weighted: Callable[[Predictions, np.ndarray], np.ndarray]

    def __call__(self, predictions: Predictions) -> float:
        """The plain metric."""
        if not len(predictions):
            return float("nan")
        return float(self.weighted(predictions, np.ones(len(predictions))))


@Metric
def top1_accuracy(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Fraction of rows predicted right, in [0, 1]."""
    return _mean(predictions.is_right, weights)


@Metric
def macro_f1(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Unweighted mean of the F1 of all classes, in [0, 1]; a class with no row and no prediction counts 0."""
    return class_scores(predictions, weights).f1.mean(axis=-1)


@Metric
def log_loss(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Mean of -log of the target's prob, in nats, as sklearn's log_loss."""
    return _mean(log_losses(predictions), weights)


@Metric
def expected_calibration_error(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Mean over rows of the gap between confidence and top-1 accuracy of their bin of confidence, in [0, 1].

    Equation 3 of Guo et al. 2017. Never below 0 by chance: with few images a calibrated model too has some.
    """
    gaps = predictions.is_right - predictions.confidence
    by_bin = weights @ (np.eye(NUM_BINS)[confidence_bins(predictions)] * gaps[:, None])
    return np.abs(by_bin).sum(axis=-1) / weights.sum(axis=-1)


@Metric
def brier_score(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Mean over rows of the sum over classes of (prob - actual) ** 2, in [0, 2].

    As Brier 1950 has it: for two classes, twice the score that takes only one of them.
    """
    actual = np.eye(predictions.probs.shape[1])[predictions.targets]
    return _mean(((predictions.probs - actual) ** 2).sum(axis=1), weights)


METRICS: Mapping[str, Metric] = {
    "top1_accuracy": top1_accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "ece": expected_calibration_error,
    "brier_score": brier_score,
}
WITH_INTERVALS = ("top1_accuracy", "macro_f1", "log_loss", "ece")  # reported with their spread and their intervals


@dataclass(frozen=True, eq=False)
class ClassScores:
    """precision, recall, f1: in [0, 1]; 0 where there is no denominator, as sklearn's zero_division=0.

    support: sum of the weights of the rows of the class. All (C,), or (R, C) under R rows of weights.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def class_scores(predictions: Predictions, weights: np.ndarray) -> ClassScores:
    """The scores of each class under weights (n,) or (R, n)."""
    classes = np.eye(predictions.probs.shape[1])
    actual, predicted = classes[predictions.targets], classes[predictions.predicted]
    sums = weights @ np.concatenate([actual * predicted, actual, predicted], axis=1)
    right, support, num_predicted = np.split(sums, 3, axis=-1)
    return ClassScores(
        precision=_ratio(right, num_predicted),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, num_predicted + support),
        support=support,
    )


def log_losses(predictions: Predictions) -> np.ndarray:
    """(n,) -log of the target's prob of each row."""
    probs = predictions.probs[np.arange(len(predictions)), predictions.targets]
    return -np.log(np.clip(probs, _EPSILON, 1))


def confidence_bins(predictions: Predictions, num_bins: int = NUM_BINS) -> np.ndarray:
    """(n,) number of the bin of each row's confidence: bins of equal width, an edge in the bin below it."""
    return np.searchsorted(np.arange(1, num_bins) / num_bins, predictions.confidence, side="left")


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Under one row of weights the same bytes on any number of cores; of many, a product is ten times as fast."""
    total = (weights * values).sum() if weights.ndim == 1 else weights @ values
    return total / weights.sum(axis=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
