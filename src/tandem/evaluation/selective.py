"""Selective prediction: an image is left to a person where the model is not sure. What that gains, and from when on."""

from dataclasses import dataclass

import numpy as np

from tandem.evaluation.metrics import Predictions


@dataclass(frozen=True)
class RiskCoverage:
    """What happens if only predictions of at least `threshold` are kept.

    coverage: the fraction kept. selective_risk: the fraction of the kept that is wrong; None where nothing is kept.
    """

    threshold: float
    coverage: float
    selective_risk: float | None


def risk_coverage(predictions: Predictions) -> list[RiskCoverage]:
    """One point for each distinct confidence, the highest first (El-Yaniv & Wiener 2010)."""
    confidence, is_wrong = predictions.confidence, ~predictions.is_right
    order = np.argsort(-confidence, kind="stable")
    num_wrong = np.cumsum(is_wrong[order])
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else order
    return [
        RiskCoverage(float(confidence[order[row]]), (row + 1) / len(order), float(num_wrong[row] / (row + 1)))
        for row in last.tolist()
    ]


def threshold_for(predictions: Predictions, *, max_error: float) -> float:
    """The lowest confidence from which on at most the fraction max_error is wrong; 1 if there is none.

    Where that is all predictions, it is at most 1 - max_error: nothing below was seen, and a calibrated prediction of
    so much confidence is wrong no more often.
    """
    points = risk_coverage(predictions)
    lowest = min((point.threshold for point in points if (point.selective_risk or 0.0) <= max_error), default=1.0)
    return min(lowest, 1 - max_error) if points and lowest == points[-1].threshold else lowest


def at_threshold(predictions: Predictions, threshold: float) -> RiskCoverage:
    """The point of these predictions at a threshold."""
    is_kept, is_wrong = predictions.confidence >= threshold, ~predictions.is_right
    return RiskCoverage(
        threshold,
        float(is_kept.mean()) if len(is_kept) else 0.0,
        float(is_wrong[is_kept].mean()) if is_kept.any() else None,
    )
