"""Pairs of images, as the numbers of their rows in the index: sorted, unique, the smaller number first."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """Row numbers first < second, sorted, unique; similarity: cosine in [-1, 1]. All of shape (P,)."""

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def rows(self) -> np.ndarray:
        """(P, 2) int64: first and second side by side."""
        return np.stack([self.first, self.second], axis=1).astype(np.int64)

    def where(self, mask: np.ndarray) -> "Pairs":
        """The pairs that a mask (P,) selects."""
        return Pairs(self.first[mask], self.second[mask], self.similarity[mask])


def unique_pairs(first: np.ndarray, second: np.ndarray, similarity: np.ndarray) -> Pairs:
    """Pairs in canonical order; of several on the same rows, the highest similarity stays."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((-similarity, high, low))
    low, high, similarity = low[order], high[order], similarity[order]
    is_new = np.ones(len(low), dtype=bool)
    is_new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return Pairs(low[is_new], high[is_new], similarity[is_new])


def is_among(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(L,) whether each pair of rows (L, 2) is one of others (M, 2); both hold the smaller row first."""
    num_rows = max(rows.max(initial=0), others.max(initial=0)) + 1
    return np.isin(rows[:, 0] * num_rows + rows[:, 1], others[:, 0] * num_rows + others[:, 1])


def places(values: np.ndarray) -> np.ndarray:
    """(n,) int64, of sorted values the place of each among those that are equal to it, from 0."""
    return np.arange(len(values)) - np.searchsorted(values, values)
