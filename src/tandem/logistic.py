"""A multinomial logistic regression on feature rows, its penalty chosen on folds of whole groups."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.metrics import log_loss

if TYPE_CHECKING:  # at run time where it is needed: its import takes most of a second, and other heads do without
    from sklearn.linear_model import LogisticRegression

STRENGTHS = tuple(float(f"{10**power:.3g}") for power in np.arange(-4, 0.5, 0.5))  # C of scikit-learn, weakest first
_MAX_ITERATIONS = 1000
_WORSE = 2  # strengths in a row, after which no stronger one is tried


class Logistic(NamedTuple):
    """mean, std: (D,) of the rows. weight: (C, D). bias: (C,)."""

    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def choose_strength(x: np.ndarray, targets: np.ndarray, fold_of: np.ndarray, *, balanced: bool) -> float:
    """The one of STRENGTHS with the lowest log loss over folds, sought from the weakest on until two are worse.

    fold_of: (n,) fold of each row; the rest as in fit.
    """
    from sklearn.preprocessing import StandardScaler

    rows = _turned(StandardScaler().fit_transform(np.asarray(x, dtype=np.float64)))
    folds = [_held_out(rows, targets, fold_of == fold, balanced) for fold in np.unique(fold_of)]
    best, lowest = 0, np.inf
    with threadpool_limits(limits=1):
        for number, strength in enumerate(STRENGTHS):
            loss = sum(loss_of(strength) for loss_of in folds)
            if loss < lowest:
                best, lowest = number, loss
            elif number - best >= _WORSE:
                break
    return STRENGTHS[best]


def fit(x: np.ndarray, targets: np.ndarray, *, strength: float, balanced: bool) -> Logistic:
    """Logits ((x - mean) / std) @ weight.T + bias, fitted to x (n, D) and targets (n,), which hold every class.

    strength: C of scikit-learn. balanced: classes weigh the same however many rows they have. The same bytes whatever
    the number of cores.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.asarray(x, dtype=np.float64))
    rows, num_classes = scaler.transform(x), int(targets.max()) + 1
    with threadpool_limits(limits=1):
        model = _model(strength, balanced).fit(rows, targets)
    weight, bias = model.coef_, model.intercept_
    if num_classes == 2:  # scikit-learn then has the logit of the second class alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Logistic(scaler.mean_, scaler.scale_, weight, bias)


def _turned(x: np.ndarray) -> np.ndarray:
    """(n, D) as (n, n) where D is larger: the rows turned into the space that they span.

    Distances and products stay, and a penalised regression depends on nothing else (the kernel trick, undone).
    """
    if x.shape[1] <= len(x):
        return x
    with threadpool_limits(limits=1):
        values, vectors = np.linalg.eigh(x @ x.T)
    return vectors * np.sqrt(values.clip(0))


def _held_out(x: np.ndarray, targets: np.ndarray, held: np.ndarray, balanced: bool) -> Callable[[float], float]:
    """Strength -> summed log loss of the held rows; nothing is said by rows of a single class."""
    fitted, held_targets = targets[~held], targets[held]
    present = np.unique(fitted)
    if len(present) < 2 or not len(held_targets):
        return lambda _: 0.0
    model = _model(STRENGTHS[0], balanced).set_params(warm_start=True)
    rows, held_rows = x[~held], x[held]

    def loss(strength: float) -> float:
        probs = np.zeros((len(held_targets), 1 + targets.max()))
        probs[:, present] = model.set_params(C=strength).fit(rows, fitted).predict_proba(held_rows)
        return log_loss(target=held_targets, probs=probs) * len(held_targets)

    return loss


def _model(strength: float, balanced: bool) -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, class_weight="balanced" if balanced else None, max_iter=_MAX_ITERATIONS)
