"""A linear head: standardised features to logits by one layer."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.files import atomic_file
from tandem.tables.checks import reading

_BATCH_SIZE = 4096  # rows; what is held beside the features


class Linear(NamedTuple):
    """mean, std: (D,) float32 of the features it was fitted to. weight: (C, D) float32. bias: (C,) float32."""

    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, D) float32 to (n, C) float32 logits; of (n, k, D) TTA views, the mean over the k views."""
        rows = features.reshape(-1, features.shape[-1])
        with threadpool_limits(limits=1):  # sums do not depend, to the last bit, on how many cores there are
            parts = [
                (rows[start : start + _BATCH_SIZE] - self.mean) / self.std @ self.weight.T + self.bias
                for start in range(0, max(1, len(rows)), _BATCH_SIZE)
            ]
        logits = np.concatenate(parts)
        return logits.reshape(*features.shape[:-1], -1).mean(axis=1) if features.ndim == 3 else logits

    def scaled(self, temperature: float) -> "Linear":
        """The head whose logits are divided by a temperature."""
        factor = np.float32(1 / temperature)
        return self._replace(weight=self.weight * factor, bias=self.bias * factor)

    def save(self, folder: Path) -> None:
        """Write the four arrays into a folder as head.npz, whole or not at all."""
        with atomic_file(folder / "head.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **self._asdict())


def load_linear(path: Path) -> Linear:
    """Read what Linear.save wrote. Raises DataError, with the path, for what is no such head."""
    with reading(path), path.open("rb") as file, np.load(file) as arrays:
        head = Linear(**arrays)
        (classes, dim) = head.weight.shape
        if [head.mean.shape, head.std.shape, head.bias.shape] != [(dim,), (dim,), (classes,)]:
            raise ValueError("its arrays do not fit one another")
        if not all(np.isfinite(array).all() and array.dtype == np.float32 for array in head):
            raise ValueError("its arrays are not finite float32")
        return head


def mean_and_std(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,) of features (n, D), in float64; 1 for a constant column."""
    mean, std = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    return mean, np.where(std > 1e-6, std, 1.0)
