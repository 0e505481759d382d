"""How similar each image is to the nearest of its own class and of every class, none of them of its group."""

from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

_BLOCK = 1024


def class_similarities(
    features: np.ndarray, targets: np.ndarray, groups: np.ndarray, *, num_classes: int, num_neighbors: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) mean cosine to the nearest of the own class, and (n, C) mean centered cosine to the nearest of each class.

    Centered: of unit vectors (n, D) less their mean, which all images share and which says nothing of classes.
    num_neighbors: so many of a class; of fewer, all count; of none the mean is 0, and -inf in the second array.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    mean = unit.mean(axis=0, dtype=np.float64)
    along_mean = np.concatenate([unit[start : start + _BLOCK] @ mean for start in range(0, len(unit), _BLOCK)])
    square = float(mean @ mean)
    lengths = np.sqrt(np.maximum((unit**2).sum(axis=1) - 2 * along_mean + square, np.finfo(np.float32).tiny))
    offsets, lengths = (along_mean - square / 2).astype(np.float32), lengths.astype(np.float32)
    order = np.argsort(targets, kind="stable")
    edges = np.searchsorted(targets[order], np.arange(num_classes + 1))
    own_class, centered = np.zeros(len(unit)), np.full((len(unit), num_classes), -np.inf)
    for start in range(0, len(unit), _BLOCK):
        block = slice(start, start + _BLOCK)
        with threadpool_limits(limits=1):  # one that is nearly as high may stand first on another number of cores
            cosines = unit[block] @ unit.T
        cosines[groups[block, None] == groups[None]] = -np.inf
        own = np.where(targets[block, None] == targets[None], cosines, -np.inf)
        own_class[block] = np.nan_to_num(_mean_of_highest(own, num_neighbors), neginf=0)
        cosines = (cosines - offsets[block, None] - offsets[None]) / lengths[block, None] / lengths[None]
        cosines = cosines[:, order]
        for number, (first, end) in enumerate(pairwise(edges.tolist())):
            if first < end:
                centered[block, number] = _mean_of_highest(cosines[:, first:end], num_neighbors)
    return own_class, centered


def _mean_of_highest(cosines: np.ndarray, k: int) -> np.ndarray:
    """(b,) mean of the k highest that are finite of each row; -inf where none is."""
    highest = -np.partition(-cosines, min(k, cosines.shape[1]) - 1, axis=1)[:, :k]
    is_finite = np.isfinite(highest)
    counts = is_finite.sum(axis=1)
    means = np.where(is_finite, highest, 0).sum(axis=1, dtype=np.float64) / np.maximum(counts, 1)
    return np.where(counts > 0, means, -np.inf)
