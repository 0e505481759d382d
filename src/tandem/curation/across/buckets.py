"""Pairs of images of two splits that are similar, among very many: those that lie near to one center by their features.

Centers are fitted by scikit-learn to features from all over. Each image belongs to its nearest center; each image of
all splits but the largest is compared with the images of other splits that belong to the _PROBED centers nearest to it,
by plain products, and those near the limit once more in float64. That takes about N ** 1.5 products. Of pairs of images
that lie apart on either side some are missed: how many, benchmarks/million.py measures.
"""

import warnings
from collections.abc import Mapping
from itertools import product

import numpy as np

_CENTERS_A_ROOT = 2  # times sqrt(N)
_FITTED_A_CENTER = 24  # features
_ITERATIONS = 6
_PROBED = 16
_BLOCK = 2048  # rows at a time
_MAX_ROWS = 4096  # of one center at a time
_ROUNDING = 1e-12  # of float64: equal features may lie this far apart
_SLACK = 1e-5  # what a product in float32 may lack


def near_cosines(
    features: np.ndarray, rows: Mapping[str, np.ndarray], min_similarity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, 2) rows of pairs of cosine >= min_similarity in two splits, their cosines, and (n,) the highest of each row.

    features: (N, D), may be a memory map. rows: split -> row numbers, all n of which have a highest cosine in their
    order; -1 where none was compared with it.
    """
    centers = _fit(features, np.concatenate(list(rows.values())))
    by_size = sorted(rows, key=lambda split: -len(rows[split]))
    highest = np.full(len(features), -1.0, dtype=np.float32)
    members = {split: _by_center(features, rows[split], centers, 1) for split in by_size}
    found, cosines = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)]
    for split in by_size[1:]:
        probes = _by_center(features, rows[split], centers, _PROBED)
        for number in range(len(centers)):
            others = np.concatenate([members[other][number] for other in by_size if other != split])
            for base, queries in product(_parts(others), _parts(probes[number])):
                products = _unit(features, queries) @ _unit(features, base).T
                highest[queries] = np.maximum(highest[queries], products.max(axis=1))
                highest[base] = np.maximum(highest[base], products.max(axis=0))
                i, j = np.nonzero(products >= min_similarity - _SLACK)
                pairs = np.sort(np.stack([queries[i], base[j]], axis=1), axis=1)
                exact = _float64_cosines(features, pairs)
                found.append(pairs[exact >= min_similarity - _ROUNDING])
                cosines.append(exact[exact >= min_similarity - _ROUNDING])
    pairs, first = np.unique(np.concatenate(found), axis=0, return_index=True)
    return pairs, np.concatenate(cosines)[first], np.concatenate([highest[numbers] for numbers in rows.values()])


def _fit(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(C, D) float32 centers of length 1."""
    from sklearn.cluster import KMeans  # a second
    from sklearn.exceptions import ConvergenceWarning

    num_centers = max(1, int(_CENTERS_A_ROOT * len(rows) ** 0.5))
    chosen = np.sort(np.random.default_rng(1).permutation(rows)[: _FITTED_A_CENTER * num_centers])
    sample = _unit(features, chosen)
    first = sample[:: max(1, len(sample) // num_centers)][:num_centers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of equal rows, which leave centers without any
        fitted = KMeans(len(first), init=first, n_init=1, max_iter=_ITERATIONS).fit(sample).cluster_centers_
    return fitted / np.maximum(np.linalg.norm(fitted, axis=1, keepdims=True), 1e-12)


def _by_center(features: np.ndarray, rows: np.ndarray, centers: np.ndarray, num_nearest: int) -> list[np.ndarray]:
    """For each center those of the rows that have it among so many nearest ones."""
    num_nearest = min(num_nearest, len(centers))
    nearest = [np.zeros((0, num_nearest), dtype=np.int64)]
    for start in range(0, len(rows), _BLOCK):
        products = _unit(features, rows[start : start + _BLOCK]) @ centers.T
        nearest.append(np.argpartition(-products, num_nearest - 1, axis=1)[:, :num_nearest].copy())  # not all of it
    numbers = np.concatenate(nearest).ravel()
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(centers)))
    return np.split(np.repeat(rows, num_nearest)[order], ends[:-1])


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _MAX_ROWS] for start in range(0, len(rows), _MAX_ROWS)]


def _unit(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, D) float32 of length 1; rows of zeros stay."""
    found = np.asarray(features[rows], dtype=np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def _float64_cosines(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    found = [np.zeros(0)]
    for start in range(0, len(pairs), _BLOCK):
        one, other = (features[rows].astype(np.float64) for rows in pairs[start : start + _BLOCK].T)
        norms = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        found.append((one * other).sum(axis=1) / np.where(norms > 0, norms, 1))
    return np.concatenate(found)
