"""A linear probe that predicts each image without the images of its group, in closed form.

Least squares with a penalty has the residual of a row that is left out in closed form (PRESS: Allen, 1974), and that of
several rows too: one decomposition stands for as many fits as there are groups, with any penalty, to any targets. There
are neither folds nor a seed, and the penalty is the one with the smallest such residuals.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_BLOCK = 1024


class LeaveGroupOutRidge:
    """Ridge regression on standardised features, all columns divided by the root of their number, and a constant.

    features: (n, D). groups: (n,). Holds matrices (D + 1, min(n, D + 1)) beside the features, and computes by blocks of
    rows.
    The same bytes whatever the number of cores.
    """

    def __init__(self, features: np.ndarray, groups: np.ndarray) -> None:
        self._features = features
        self._mean = features.mean(axis=0, dtype=np.float64)
        squares = sum(((block - self._mean) ** 2).sum(axis=0) for block in self._raw_blocks())
        std = np.sqrt(squares / len(features))
        self._divisors = np.where(std > 0, std, 1) * np.sqrt(features.shape[1])
        order = np.argsort(groups, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
        self._joint = [rows for rows in members if len(rows) > 1]
        with threadpool_limits(limits=1):
            self._values, self._axes = self._spectrum()
            inverses = 1 / (self._values[:, None] + np.array(PENALTIES))
            self._leverages = np.concatenate([(rows @ self._axes) ** 2 @ inverses for _, rows in self._blocks()])

    def _spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """(r,) squared singular values of the rows, and (D + 1, r) their right singular vectors.

        By the smaller of the two products of the rows with themselves: fewer rows than columns span no more than n
        axes, and no other axis takes part in a fit or in a prediction of one of them.
        """
        num_rows, num_columns = len(self._features), self._features.shape[1] + 1
        if num_rows < num_columns:
            rows = np.concatenate([block for _, block in self._blocks()])
            values, vectors = np.linalg.eigh(rows @ rows.T)
            kept = values > values[-1] * num_rows * np.finfo(np.float64).eps  # else they are rounding
            return values[kept], rows.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        gram = np.zeros((num_columns, num_columns))
        for _, rows in self._blocks():
            gram += rows.T @ rows
        values, axes = np.linalg.eigh(gram)
        return np.maximum(values, 0), axes

    def best_penalty(self, targets: np.ndarray) -> float:
        """The one of PENALTIES whose predictions of targets (n, C) are the nearest to them: the least squared error."""
        errors = [float(((predicted - targets) ** 2).sum()) for predicted in self._predict(targets, PENALTIES)]
        return PENALTIES[int(np.argmin(errors))]

    def predict(self, targets: np.ndarray, penalty: float) -> np.ndarray:
        """(n, C) prediction of targets (n, C) for each row by the fit to the rows of all other groups.

        penalty: one of PENALTIES, of the squared coefficients.
        """
        (predicted,) = self._predict(targets, (penalty,))
        return predicted

    def _predict(self, targets: np.ndarray, penalties: Sequence[float]) -> list[np.ndarray]:
        """(n, C) of each penalty."""
        num_columns = targets.shape[1]
        with threadpool_limits(limits=1):
            moments = np.zeros((len(self._axes), num_columns))
            for block, rows in self._blocks():
                moments += rows.T @ targets[block]
            moments = self._axes.T @ moments
            scaled = [moments / (self._values + penalty)[:, None] for penalty in penalties]
            coefficients = self._axes @ np.concatenate(scaled, axis=1)
            fitted = np.concatenate([rows @ coefficients for _, rows in self._blocks()])
            predictions = list[np.ndarray]()
            for number, penalty in enumerate(penalties):
                residuals = targets - fitted[:, number * num_columns : (number + 1) * num_columns]
                leverages = self._leverages[:, PENALTIES.index(penalty)]
                predicted = targets - residuals / (1 - leverages)[:, None]
                for joint in self._joint:
                    predicted[joint] = self._of_group(joint, penalty, targets[joint], residuals[joint], moments)
                predictions.append(predicted)
        return predictions

    def _of_group(
        self, joint: np.ndarray, penalty: float, targets: np.ndarray, residuals: np.ndarray, moments: np.ndarray
    ) -> np.ndarray:
        """(m, C) predictions of the m rows of a group: by their residuals, or anew where that is the smaller system."""
        rows, values = self._rows(joint) @ self._axes, self._values + penalty
        if len(joint) < len(values):
            return np.asarray(targets - np.linalg.solve(np.eye(len(joint)) - (rows / values) @ rows.T, residuals))
        return np.asarray(rows @ np.linalg.solve(np.diag(values) - rows.T @ rows, moments - rows.T @ targets))

    def _rows(self, which: np.ndarray | slice) -> np.ndarray:
        """(m, D + 1) float64."""
        rows = (self._features[which].astype(np.float64) - self._mean) / self._divisors
        return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(self._features), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield block, self._rows(block)

    def _raw_blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self._features), _BLOCK):
            yield self._features[start : start + _BLOCK].astype(np.float64)
