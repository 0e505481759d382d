"""A multinomial logistic regression on features, its penalty chosen on folds of whole groups.

The regression of scikit-learn, by SciPy's L-BFGS: its import takes most of a second, its folds one pass each.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.evaluation.metrics import log_loss, predict
from tandem.training.linear import Linear, mean_and_std

C_GRID = tuple(float(f"{10**power:.3g}") for power in np.arange(-4, 0.5, 0.5))  # from the strongest penalty on
# as scikit-learn has them
_OPTIONS = {"gtol": 1e-4, "ftol": 64 * np.finfo(float).eps, "maxiter": 1000, "maxls": 50}
_NUM_WORSE = 2  # of C in a row, after which no higher one is tried
_CELLS = 2**22  # logits at once, 32 MB: of as many folds as that allows
_NEVER = -1e30  # logit of a class that a fold has no row of


class CVResult(NamedTuple):
    """C: inverse of the penalty, as in scikit-learn. head: fitted to all rows by it.

    out_of_fold: (n, C) logits by fits without their fold; nan in a fold without which a class has no row left.
    """

    C: float
    head: Linear
    out_of_fold: np.ndarray


def fit_cv(
    features: np.ndarray,
    targets: np.ndarray,
    fold_of: np.ndarray,
    *,
    balanced: bool,
    soft_targets: np.ndarray | None = None,
) -> CVResult:
    """The one of C_GRID with the lowest log loss over folds, searched from the lowest on until two are worse.

    fold_of: (n,) fold of each row. soft_targets: (n, C) probs that it is fitted to, where these are not the targets
    themselves; C is chosen by the targets in any case. The rest as in fit_logistic.
    """
    with threadpool_limits(limits=1):
        table = _Table(features, targets, soft_targets)
        folds, fold_numbers = np.unique(fold_of, return_inverse=True)
        weights = np.stack([table.weights(fold_numbers != number, balanced) for number in range(len(folds))])
        coefficients, tried, losses = np.zeros((len(folds), *table.shape)), list[np.ndarray](), list[float]()
        for C in C_GRID:
            coefficients = table.minimize(weights, C, coefficients)
            tried.append(table.out_of_fold(coefficients, weights, fold_numbers))
            losses.append(log_loss(predict(tried[-1], targets)))
            if len(losses) - 1 - int(np.argmin(losses)) >= _NUM_WORSE:
                break
        best = int(np.argmin(losses))
        has_all_classes = np.asarray(table.has_class(weights).all(axis=1))
        out_of_fold = np.where(has_all_classes[fold_numbers, None], tried[best], np.nan)
        return CVResult(C_GRID[best], table.fit(C_GRID[best], balanced), out_of_fold)


def fit_logistic(features: np.ndarray, targets: np.ndarray, *, C: float, balanced: bool) -> Linear:
    """The head fitted to features (n, D) and targets (n,), which hold every class.

    C: inverse of the penalty, as in scikit-learn. balanced: classes weigh the same however many rows they have. The
    same bytes whatever the number of cores.
    """
    with threadpool_limits(limits=1):
        return _Table(features, targets).fit(C, balanced)


class _Table:
    """Standardised rows, rotated into the space that they span where that is the smaller one, and their targets."""

    def __init__(self, features: np.ndarray, targets: np.ndarray, soft_targets: np.ndarray | None = None) -> None:
        self.mean, self.std = mean_and_std(features)
        self.one_hot = np.eye(int(targets.max()) + 1)[targets]
        self.fitted = self.one_hot if soft_targets is None else soft_targets
        self.rows, self.rotate_back = _rotated((features - self.mean) / self.std)
        self.shape = (self.one_hot.shape[1], self.rows.shape[1] + 1)

    def weights(self, is_fitted: np.ndarray, balanced: bool) -> np.ndarray:
        """(n,) of the rows of a mask; 0 of all others."""
        counts = self.one_hot[is_fitted].sum(axis=0)
        per_class = is_fitted.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)) if balanced else counts > 0
        return is_fitted * (self.one_hot @ per_class)

    def has_class(self, weights: np.ndarray) -> np.ndarray:
        """(folds, C) whether a row of the class, or with a prob of it, has a weight."""
        return (weights > 0) @ self.fitted > 0

    def fit(self, C: float, balanced: bool) -> Linear:
        weights = self.weights(np.ones(len(self.one_hot), dtype=bool), balanced)
        (coefficients,) = self.minimize(weights[None], C, np.zeros((1, *self.shape)))
        parts = (self.mean, self.std, self.rotate_back(coefficients[:, :-1]), coefficients[:, -1])
        return Linear(*(np.asarray(part, np.float32) for part in parts))

    def out_of_fold(self, coefficients: np.ndarray, weights: np.ndarray, fold_numbers: np.ndarray) -> np.ndarray:
        """(n, C) logits of each row by the fit without its fold. fold_numbers: (n,)."""
        logits = np.zeros_like(self.one_hot)
        for fold, (of_fold, has_class) in enumerate(zip(coefficients, self.has_class(weights), strict=True)):
            inside = fold_numbers == fold
            logits[inside] = self.rows[inside] @ of_fold[:, :-1].T + np.where(has_class, of_fold[:, -1], _NEVER)
        return logits

    def minimize(self, weights: np.ndarray, C: float, start: np.ndarray) -> np.ndarray:
        """(folds, C, columns + 1) slopes and biases of the fits to the rows under weights (folds, n), from `start` on.

        The folds are one problem, whose every step goes over the rows once for all of them.
        """
        from scipy.optimize import minimize

        count = max(1, _CELLS // self.one_hot.size)
        solutions = [
            minimize(
                self._loss(weights[first : first + count], C),
                start[first : first + count].ravel(),
                jac=True,
                method="L-BFGS-B",
                options=_OPTIONS,
            ).x
            for first in range(0, len(weights), count)
        ]
        return np.concatenate(solutions).reshape(start.shape)

    def _loss(self, weights: np.ndarray, C: float) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """Flat slopes and biases -> the sum over folds of mean log loss and penalty, and its gradient."""
        num_folds, (num_classes, num_columns) = len(weights), self.shape
        sums = weights.sum(axis=1)
        normalized = (weights / sums[:, None]).T[:, :, None]
        never = np.where(self.has_class(weights), 0, _NEVER)
        # for two classes scikit-learn has one vector, whose square is twice those of these two
        penalty = (2 if num_classes == 2 else 1) / (C * sums)[:, None, None]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            coefficients = flat.reshape(num_folds, num_classes, num_columns)
            slopes = coefficients[:, :, :-1]
            logits = self.rows @ slopes.reshape(num_folds * num_classes, -1).T
            logits = logits.reshape(-1, num_folds, num_classes) + coefficients[:, :, -1] + never
            logits -= logits.max(axis=2, keepdims=True)
            probs = np.exp(logits)
            total = probs.sum(axis=2, keepdims=True)
            losses = np.log(total[:, :, 0]) - (logits * self.fitted[:, None]).sum(axis=2)
            value = (normalized[:, :, 0] * losses).sum() + (penalty * slopes**2).sum() / 2
            residual = (probs / total - self.fitted[:, None]) * normalized
            gradient = np.empty_like(coefficients)
            gradient[:, :, :-1] = (residual.reshape(len(residual), -1).T @ self.rows).reshape(slopes.shape)
            gradient[:, :, :-1] += penalty * slopes
            gradient[:, :, -1] = residual.sum(axis=0)
            return float(value), gradient.ravel()

        return loss


def _rotated(rows: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """(n, D) as (n, r), r <= n, where D is larger, and what rotates weights (C, r) back into (C, D).

    Distances and products stay, and a penalised regression depends on nothing else (the kernel trick, undone).
    """
    if rows.shape[1] <= len(rows):
        return rows, lambda weights: weights
    values, vectors = np.linalg.eigh(rows @ rows.T)
    is_kept = values > values[-1] * len(rows) * np.finfo(float).eps
    roots, vectors = np.sqrt(values[is_kept]), vectors[:, is_kept]
    return vectors * roots, lambda weights: (weights / roots) @ vectors.T @ rows
