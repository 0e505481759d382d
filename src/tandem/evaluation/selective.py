"""Leaving an image to a person where the model is not sure: what is gained, and from which confidence on."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RiskCoverage:
    """What happens if only predictions of at least `threshold` are kept.

    coverage: the share that is kept. selective_risk: the share of those that is wrong; None where nothing is kept.
    """

    threshold: float
    coverage: float
    selective_risk: float | None


def risk_coverage(*, target: np.ndarray, probs: np.ndarray) -> list[RiskCoverage]:
    """One point for each distinct top probability, the surest first (El-Yaniv & Wiener 2010). probs: (n, C)."""
    confidence, wrong = probs.max(axis=1), probs.argmax(axis=1) != target
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(wrong[order])
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else order
    return [
        RiskCoverage(float(confidence[order[row]]), (row + 1) / len(order), float(errors[row] / (row + 1)))
        for row in last.tolist()
    ]


def threshold_for(*, target: np.ndarray, probs: np.ndarray, max_error: float) -> float:
    """The lowest confidence from which on at most max_error of these rows is wrong; 1 if there is none."""
    points = risk_coverage(target=target, probs=probs)
    return min((point.threshold for point in points if (point.selective_risk or 0.0) <= max_error), default=1.0)


def at_threshold(*, target: np.ndarray, probs: np.ndarray, threshold: float) -> RiskCoverage:
    """The point of these rows at a threshold."""
    kept, wrong = probs.max(axis=1) >= threshold, probs.argmax(axis=1) != target
    return RiskCoverage(
        threshold,
        float(kept.mean()) if len(kept) else 0.0,
        float(wrong[kept].mean()) if kept.any() else None,
    )
