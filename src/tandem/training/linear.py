"""A linear head: standardised feature rows to logits by one layer."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.files import atomic_file

_BATCH_SIZE = 4096  # rows; what is held beside the table


class Linear(NamedTuple):
    """mean, std: (D,) float32 of the rows it was fitted to. weight: (C, D) float32. bias: (C,) float32."""

    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        """(n, D) float32 rows to (n, C) float32 logits; of (n, k, D) views, the mean over the k views."""
        rows = x.reshape(-1, x.shape[-1])
        with threadpool_limits(limits=1):  # sums do not depend, to the last bit, on how many cores there are
            parts = [
                (rows[start : start + _BATCH_SIZE] - self.mean) / self.std @ self.weight.T + self.bias
                for start in range(0, max(1, len(rows)), _BATCH_SIZE)
            ]
        logits = np.concatenate(parts)
        return logits.reshape(*x.shape[:-1], -1).mean(axis=1) if x.ndim == 3 else logits

    def scaled(self, temperature: float) -> "Linear":
        """The head whose logits are divided by a temperature."""
        factor = np.float32(1 / temperature)
        return self._replace(weight=self.weight * factor, bias=self.bias * factor)

    def save(self, path: Path) -> None:
        """Write the four arrays as .npz, whole or not at all."""
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **self._asdict())


def load_linear(path: Path) -> Linear:
    """Read what Linear.save wrote."""
    with np.load(path) as arrays:
        return Linear(**arrays)


def mean_and_std(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation (D,) of rows (n, D), in float64; of a constant column 1, which scales not."""
    mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    return mean, np.where(std > 1e-6, std, 1.0)
