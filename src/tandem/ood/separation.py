"""How well scores tell images of the classes from others: the two numbers that this field compares.

As OpenOOD has them (Yang et al. 2022, https://arxiv.org/abs/2210.07242), an image of no class being the positive.
"""

import math

import numpy as np


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The probability that one of the scores (m,) of outside is above one of inside (n,); a tie counts half.

    nan where either is empty.
    """
    if not len(inside) or not len(outside):
        return float("nan")
    ordered = np.sort(inside)
    below, not_above = (np.searchsorted(ordered, outside, side=side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(inside)))


def fpr_at_tpr(inside: np.ndarray, outside: np.ndarray, *, tpr: float = 0.95) -> float:
    """The fraction of inside (n,) at or above the highest threshold that at least tpr of outside (m,) reach.

    nan where either is empty.
    """
    if not len(inside) or not len(outside):
        return float("nan")
    threshold = np.sort(outside)[len(outside) - math.ceil(tpr * len(outside))]
    return float((inside >= threshold).mean())
