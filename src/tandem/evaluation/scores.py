"""The scores of a model on one split: what choices are made by on validation, and what is reported on test."""

import numpy as np

from tandem.evaluation.calibration import brier_score, expected_calibration_error
from tandem.evaluation.metrics import log_loss, macro_f1, softmax, top1_accuracy
from tandem.tables.samples import Samples


def score(logits: np.ndarray, samples: Samples, *, split: str) -> dict[str, float]:
    """top1_accuracy, macro_f1, log_loss (nats), ece and brier_score of (N, C) logits on a split."""
    target, probs = probs_of(logits, samples, split)
    predicted = logits[samples.split(split).rows].argmax(
        axis=1
    )  # of logits that are nearly alike, probs can be the same
    return {
        "top1_accuracy": top1_accuracy(target=target, predicted=predicted),
        "macro_f1": macro_f1(target=target, predicted=predicted, num_classes=len(samples.class_names)),
        "log_loss": log_loss(target=target, probs=probs),
        "ece": expected_calibration_error(target=target, probs=probs),
        "brier_score": brier_score(target=target, probs=probs),
    }


def probs_of(logits: np.ndarray, samples: Samples, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Class indices (n,) and probs (n, C) of a split. logits: (N, C)."""
    return samples.split(split).targets, softmax(logits[samples.split(split).rows])
