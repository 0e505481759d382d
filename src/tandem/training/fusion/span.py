"""Features as few columns: of fewer train images than features, as coordinates in the space that these images span.

A network's gradient never leaves that space, so that nothing is lost: a thousand images of 2,048 features are a
thousand columns, and the weights of the first layer half as many. Adam moves every weight by about its lr, whatever
basis the columns are; in that of the principal components the many small ones, which are noise, would count as much as
the few large ones, and models are worse. So the basis is a random rotation of it, in which all columns are as large.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tandem.training.linear import mean_and_std

_SEED = 0  # of the rotation, the same for all trainings


class Span(NamedTuple):
    """mean, std: (D,) float32 of the train rows. dims: features of each backbone.

    bases: of each (dim, r) float32; None is its standardised features themselves.
    """

    mean: np.ndarray
    std: np.ndarray
    dims: tuple[int, ...]
    bases: tuple[np.ndarray | None, ...]

    @property
    def num_columns(self) -> tuple[int, ...]:
        """Of each backbone."""
        return tuple(dim if basis is None else basis.shape[1] for dim, basis in zip(self.dims, self.bases, strict=True))

    @property
    def bounds(self) -> tuple[float, ...]:
        """Of a backbone's weights at their start, with which outputs are as large as torch's linear layers begin."""
        return tuple(columns**0.5 / dim for dim, columns in zip(self.dims, self.num_columns, strict=True))

    def columns(self, table: np.ndarray) -> np.ndarray:
        """(n, D) float32 features to (n, sum of num_columns) float32."""
        standardized = (table - self.mean) / self.std
        parts = np.split(standardized, np.cumsum(self.dims)[:-1], axis=1)
        return np.concatenate(
            [part if basis is None else part @ basis for part, basis in zip(parts, self.bases, strict=True)], axis=1
        )

    def of_features(self, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Weights (r, outputs) of each backbone's columns as (D_b, outputs), of its standardised features."""
        return [
            weight.copy() if basis is None else basis @ weight
            for weight, basis in zip(weights, self.bases, strict=True)
        ]


def span_of(table: np.ndarray, rows: np.ndarray, dims: Sequence[int]) -> Span:
    """Of the train rows (n,) of a table (N, sum of dims) float32. dims: features of each backbone."""
    mean, std = (part.astype(np.float32) for part in mean_and_std(table[rows]))
    standardized = (table[rows] - mean) / std
    parts = np.split(standardized, np.cumsum(dims)[:-1], axis=1)
    return Span(mean, std, tuple(dims), tuple(_basis(part) for part in parts))


def _basis(rows: np.ndarray) -> np.ndarray | None:
    """(D, r) of rows (n, D), orthogonal, each sqrt(D / r) long; None where there are no fewer rows than columns.

    By that length the r columns are as large in sum as the D standardised ones, so that a step of Adam, which moves
    each weight by about the lr, moves outputs as far.
    """
    if len(rows) >= rows.shape[1]:
        return None
    rows = rows.astype(np.float64)
    values, vectors = np.linalg.eigh(rows @ rows.T)
    is_kept = values > values[-1] * len(rows) * np.finfo(np.float32).eps
    is_kept[-1] = True  # where all rows are the same
    roots = np.sqrt(np.maximum(values[is_kept], np.finfo(np.float64).tiny))
    rank = len(roots)
    rotation, upper = np.linalg.qr(np.random.default_rng(_SEED).standard_normal((rank, rank)))
    rotation *= np.sign(np.diag(upper))  # uniform over all rotations (Mezzadri 2007)
    components = rows.T @ (vectors[:, is_kept] / roots)
    return (components @ rotation * np.sqrt(rows.shape[1] / rank)).astype(np.float32)
