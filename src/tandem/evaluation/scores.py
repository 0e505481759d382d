"""The scores of a model on one split: what choices are made by on validation, and what is reported on test."""

from collections.abc import Mapping

import numpy as np

from tandem.errors import DataError
from tandem.evaluation.metrics import METRICS, Predictions, log_loss, predict
from tandem.tables.samples import Split


def predictions_on(split: Split, logits: np.ndarray) -> Predictions:
    """The predictions of logits (N, C), those of all images, on the images of a split.

    Raises DataError for probs that are not finite: a score of them would be a number that means nothing.
    """
    predictions = predict(logits[split.rows], split.targets)
    is_finite = np.isfinite(predictions.probs).all(axis=1)
    if not is_finite.all():
        raise DataError(
            f"the probs of image {split.ids[int(is_finite.argmin())]} are not finite; train the model again, with a "
            "lower lr"
        )
    return predictions


def score(predictions: Predictions) -> dict[str, float]:
    """All METRICS: top1_accuracy, macro_f1, log_loss (nats), ece and brier_score."""
    return {name: metric(predictions) for name, metric in METRICS.items()}


def best_on(split: Split, logits: Mapping[str, np.ndarray]) -> str:
    """The model with the lowest log loss on a split, the first of several. logits: model -> (N, C)."""
    return min(logits, key=lambda name: log_loss(predictions_on(split, logits[name])))
