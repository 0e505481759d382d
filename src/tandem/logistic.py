"""A multinomial logistic regression on feature rows, its penalty chosen on folds of whole groups."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tandem.metrics import log_loss

STRENGTHS = tuple(float(f"{10**power:.3g}") for power in np.arange(-4, 0.5, 0.5))  # C of scikit-learn, weakest first
_MAX_ITERATIONS = 1000


class Logistic(NamedTuple):
    """mean, std: (D,) of the rows. weight: (C, D). bias: (C,)."""

    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def choose_strength(x: np.ndarray, targets: np.ndarray, fold_of: np.ndarray, *, balanced: bool) -> float:
    """The one of STRENGTHS with the lowest log loss over folds. fold_of: (n,) fold of each row; the rest as in fit."""
    rows = StandardScaler().fit_transform(np.asarray(x, dtype=np.float64))
    losses = np.zeros(len(STRENGTHS))
    with threadpool_limits(limits=1):
        for fold in np.unique(fold_of):
            held = fold_of == fold
            losses += _losses(rows[~held], targets[~held], rows[held], targets[held], balanced)
    return STRENGTHS[int(losses.argmin())]


def fit(x: np.ndarray, targets: np.ndarray, *, strength: float, balanced: bool) -> Logistic:
    """Logits ((x - mean) / std) @ weight.T + bias, fitted to x (n, D) and targets (n,), which hold every class.

    strength: C of scikit-learn. balanced: classes weigh the same however many rows they have. The same bytes whatever
    the number of cores.
    """
    scaler = StandardScaler().fit(np.asarray(x, dtype=np.float64))
    rows, num_classes = scaler.transform(x), int(targets.max()) + 1
    with threadpool_limits(limits=1):
        model = _model(strength, balanced).fit(rows, targets)
    weight, bias = model.coef_, model.intercept_
    if num_classes == 2:  # scikit-learn then has the logit of the second class alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Logistic(scaler.mean_, scaler.scale_, weight, bias)


def _losses(
    x: np.ndarray, targets: np.ndarray, held: np.ndarray, held_targets: np.ndarray, balanced: bool
) -> np.ndarray:
    """Summed log loss of the held rows for each of STRENGTHS; nothing is said by rows of a single class."""
    present, losses = np.unique(targets), np.zeros(len(STRENGTHS))
    if len(present) < 2 or not len(held):
        return losses
    model = _model(STRENGTHS[0], balanced).set_params(warm_start=True)
    for number, strength in enumerate(STRENGTHS):
        probs = np.zeros((len(held), 1 + max(targets.max(), held_targets.max())))
        probs[:, present] = model.set_params(C=strength).fit(x, targets).predict_proba(held)
        losses[number] = log_loss(target=held_targets, probs=probs) * len(held)
    return losses


def _model(strength: float, balanced: bool) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced" if balanced else None, max_iter=_MAX_ITERATIONS)
