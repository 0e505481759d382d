"""Folds of whole groups, so that no picture is judged by what has seen its copies."""

from collections.abc import Sequence

import numpy as np


def folds(targets: np.ndarray, groups: np.ndarray | Sequence[str], *, num_folds: int, seed: int) -> np.ndarray:
    """(n,) fold of each row: whole groups, dealt out class by class in an order that the seed decides.

    targets: (n,) class indices. groups: one a row; a group of several classes is dealt with those of its first row.
    """
    unique, first, group_of = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(unique))
    order = order[np.argsort(targets[first[order]], kind="stable")]
    fold_of_group = np.empty(len(unique), dtype=np.int64)
    fold_of_group[order] = np.arange(len(unique)) % num_folds
    return fold_of_group[group_of]
