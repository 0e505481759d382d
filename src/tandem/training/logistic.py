"""A multinomial logistic regression on feature rows, its penalty chosen on folds of whole groups.

The regression of scikit-learn, by SciPy's L-BFGS: its import takes most of a second, its folds one pass each.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.evaluation.metrics import log_loss, softmax
from tandem.training.linear import Linear, mean_and_std

C_GRID = tuple(float(f"{10**power:.3g}") for power in np.arange(-4, 0.5, 0.5))  # C of scikit-learn, weakest first
# as scikit-learn has them
_OPTIONS = {"gtol": 1e-4, "ftol": 64 * np.finfo(float).eps, "maxiter": 1000, "maxls": 50}
_WORSE = 2  # strengths in a row, after which no stronger one is tried
_CELLS = 2**22  # logits at once, 32 MB: of as many folds as that allows
_NEVER = -1e30  # logit of a class that a fold has no row of


class CVResult(NamedTuple):
    """strength: C of scikit-learn. head: fitted to all rows by it. held_out: (n, C) logits by fits without their fold.

    held_out is nan in a fold without which a class has no row left.
    """

    strength: float
    head: Linear
    held_out: np.ndarray


def fit_cv(x: np.ndarray, targets: np.ndarray, fold_of: np.ndarray, *, balanced: bool) -> CVResult:
    """The one of STRENGTHS with the lowest log loss over folds, sought from the weakest on until two are worse.

    fold_of: (n,) fold of each row; the rest as in fit.
    """
    with threadpool_limits(limits=1):
        table = _Table(x, targets)
        folds, number = np.unique(fold_of, return_inverse=True)
        weights = np.stack([table.weights(number != own, balanced) for own in range(len(folds))])
        found, tried, losses = np.zeros((len(folds), *table.shape)), list[np.ndarray](), list[float]()
        for strength in C_GRID:
            found = table.minimise(weights, strength, found)
            tried.append(table.held_out(found, weights, number))
            losses.append(log_loss(target=targets, probs=softmax(tried[-1])))
            if len(losses) - 1 - int(np.argmin(losses)) >= _WORSE:
                break
        best = int(np.argmin(losses))
        is_whole = np.asarray(table.present(weights).all(axis=1))
        held_out = np.where(is_whole[number, None], tried[best], np.nan)
        return CVResult(C_GRID[best], table.fit(C_GRID[best], balanced), held_out)


def fit_logistic(x: np.ndarray, targets: np.ndarray, *, strength: float, balanced: bool) -> Linear:
    """The head fitted to rows x (n, D) and targets (n,), which hold every class.

    strength: C of scikit-learn. balanced: classes weigh the same however many rows they have. The same bytes whatever
    the number of cores.
    """
    with threadpool_limits(limits=1):
        return _Table(x, targets).fit(strength, balanced)


class _Table:
    """Standardised rows, turned into the space that they span where that is the smaller one, and their targets."""

    def __init__(self, x: np.ndarray, targets: np.ndarray) -> None:
        self.mean, self.std = mean_and_std(x)
        self.hot = np.eye(int(targets.max()) + 1)[targets]
        self.rows, self.back = _turned((x - self.mean) / self.std)
        self.shape = (self.hot.shape[1], self.rows.shape[1] + 1)

    def weights(self, fitted: np.ndarray, balanced: bool) -> np.ndarray:
        """(n,) of the rows `fitted`, a mask; 0 of all others."""
        counts = self.hot[fitted].sum(axis=0)
        per_class = fitted.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)) if balanced else counts > 0
        return fitted * (self.hot @ per_class)

    def present(self, weights: np.ndarray) -> np.ndarray:
        """(folds, C) whether a row of the class has a weight."""
        return (weights > 0) @ self.hot > 0

    def fit(self, strength: float, balanced: bool) -> Linear:
        everything = self.weights(np.ones(len(self.hot), dtype=bool), balanced)
        (found,) = self.minimise(everything[None], strength, np.zeros((1, *self.shape)))
        parts = (self.mean, self.std, self.back(found[:, :-1]), found[:, -1])
        return Linear(*(np.asarray(part, np.float32) for part in parts))

    def held_out(self, found: np.ndarray, weights: np.ndarray, number: np.ndarray) -> np.ndarray:
        """(n, C) logits of each row by the fit of its fold. number: (n,) of the folds."""
        logits = np.zeros_like(self.hot)
        for fold, (own, is_there) in enumerate(zip(found, self.present(weights), strict=True)):
            held = number == fold
            logits[held] = self.rows[held] @ own[:, :-1].T + np.where(is_there, own[:, -1], _NEVER)
        return logits

    def minimise(self, weights: np.ndarray, strength: float, start: np.ndarray) -> np.ndarray:
        """(folds, C, columns + 1) weights and bias of the fits to the rows as weighed, (folds, n), begun at `start`.

        The folds are one problem, whose every step goes over the rows once for all of them.
        """
        from scipy.optimize import minimize

        count = max(1, _CELLS // self.hot.size)
        found = [
            minimize(
                self._loss(weights[part : part + count], strength),
                start[part : part + count].ravel(),
                jac=True,
                method="L-BFGS-B",
                options=_OPTIONS,
            ).x
            for part in range(0, len(weights), count)
        ]
        return np.concatenate(found).reshape(start.shape)

    def _loss(self, weights: np.ndarray, strength: float) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """Flat weights and biases -> the sum over folds of mean log loss and penalty, and its gradient."""
        num_folds, (num_classes, num_columns) = len(weights), self.shape
        sums = weights.sum(axis=1)
        share, never = (weights / sums[:, None]).T[:, :, None], np.where(self.present(weights), 0, _NEVER)
        # for two classes scikit-learn has one vector, whose square is twice those of these two
        penalty = (2 if num_classes == 2 else 1) / (strength * sums)[:, None, None]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            own = flat.reshape(num_folds, num_classes, num_columns)
            slopes = own[:, :, :-1]
            logits = self.rows @ slopes.reshape(num_folds * num_classes, -1).T
            logits = logits.reshape(-1, num_folds, num_classes) + own[:, :, -1] + never
            logits -= logits.max(axis=2, keepdims=True)
            probs = np.exp(logits)
            total = probs.sum(axis=2, keepdims=True)
            losses = np.log(total[:, :, 0]) - (logits * self.hot[:, None]).sum(axis=2)
            value = (share[:, :, 0] * losses).sum() + (penalty * slopes**2).sum() / 2
            residual = (probs / total - self.hot[:, None]) * share
            gradient = np.empty_like(own)
            gradient[:, :, :-1] = (residual.reshape(len(residual), -1).T @ self.rows).reshape(slopes.shape)
            gradient[:, :, :-1] += penalty * slopes
            gradient[:, :, -1] = residual.sum(axis=0)
            return float(value), gradient.ravel()

        return loss


def _turned(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """(n, D) as (n, r), r <= n, where D is larger, and what turns weights (C, r) back into (C, D).

    Distances and products stay, and a penalised regression depends on nothing else (the kernel trick, undone).
    """
    if x.shape[1] <= len(x):
        return x, lambda weights: weights
    values, vectors = np.linalg.eigh(x @ x.T)
    kept = values > values[-1] * len(x) * np.finfo(float).eps
    roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
    return vectors * roots, lambda weights: (weights / roots) @ vectors.T @ x
