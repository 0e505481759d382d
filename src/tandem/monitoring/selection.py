"""Which images to label next: unsure ones, unlike each other, and none that the project or the selection has already.

Diverse mini-batch active learning (Zhdanov 2019, https://arxiv.org/abs/1901.05954): of the images that the model is
least sure of, some times as many as are wanted, k-means makes as many clusters as are wanted, unsure images weighing
more, and of each cluster the image nearest to its center is taken. It was chosen by benchmarks/selection_curve.py.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.curation.duplicates.by_features.rows import UnitRows, blocks_of
from tandem.curation.groups import connected_components

_CANDIDATES_A_PICK = 5  # of the least sure images; Zhdanov's beta, which is 10 and more for far larger pools
_MIN_WEIGHT = 1e-3  # of an image in k-means, however sure the model is of it


@dataclass(frozen=True)
class Pick:
    """An image to label. row: of the new images. uncertainty: 1 less the margin of the two most probable classes.

    distance: of its features, at length 1, to the nearest ones of the project, in [0, 2]. less_sure_than, farther_than:
    the fraction of the images it was selected from which have a lower uncertainty, and a lower distance.
    """

    row: int
    uncertainty: float
    distance: float
    less_sure_than: float
    farther_than: float


@dataclass(frozen=True)
class Selection:
    """picks: the least sure first. num_candidates: images that could be selected.

    num_known: others, which the project has, or near duplicates of which. num_alike: near duplicates of a candidate.
    """

    picks: tuple[Pick, ...]
    num_candidates: int
    num_known: int
    num_alike: int


def select_batch(
    features: np.ndarray,
    probs: np.ndarray,
    *,
    known_features: np.ndarray,
    near_duplicates: np.ndarray,
    areas: np.ndarray,
    number: int,
    seed: int,
) -> Selection:
    """At most `number` of N new images, of which no two are near duplicates, and none is one of the project's.

    features: (N, D) and probs (N, C) of the new ones; known_features: (K, D) of the project's. near_duplicates: (L, 2)
    pairs of rows of the project's images and of the new ones after them. areas: (N,) px, by which one image stands for
    a set of near duplicates. seed: of k-means. The same bytes whatever the number of cores.
    """
    rows, num_known = _without_near_duplicates(near_duplicates, areas, num_known=len(known_features))
    uncertainty, distances = uncertainty_of(probs[rows]), _distances(features[rows], known_features)
    picked = diverse_batch(features[rows], uncertainty, number=number, seed=seed)
    picks = (
        Pick(
            int(rows[at]),
            float(uncertainty[at]),
            float(distances[at]),
            float((uncertainty < uncertainty[at]).mean()),
            float((distances < distances[at]).mean()),
        )
        for at in picked.tolist()
    )
    return Selection(tuple(picks), len(rows), num_known, len(areas) - num_known - len(rows))


def uncertainty_of(probs: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1] of probs (n, C): 1 less the difference of the two highest (margin sampling, Scheffer 2001)."""
    ordered = np.sort(probs, axis=1)
    return 1 - (ordered[:, -1] - ordered[:, -2])


def diverse_batch(features: np.ndarray, uncertainty: np.ndarray, *, number: int, seed: int) -> np.ndarray:
    """(k,) rows of features (n, D), the least sure first; k is number, or n where that is less.

    uncertainty: (n,) in [0, 1].
    """
    order = np.argsort(-uncertainty, kind="stable")
    if len(order) <= number:
        return order
    candidates = order[: _CANDIDATES_A_PICK * number]
    weights = np.maximum(uncertainty[candidates], _MIN_WEIGHT)
    return candidates[np.sort(_nearest_to_centers(_unit(features[candidates]), weights, number=number, seed=seed))]


def _without_near_duplicates(
    near_duplicates: np.ndarray, areas: np.ndarray, *, num_known: int
) -> tuple[np.ndarray, int]:
    """The rows of new images that stay, and how many go since the project has them.

    Of each set of near duplicates the largest stays, of equal ones the first.
    """
    set_of = connected_components(num_known + len(areas), near_duplicates)[num_known:]
    is_known = set_of < num_known  # a set is named by its smallest row, which is the project's where it has any
    order = np.lexsort((-areas, set_of))
    _, first = np.unique(set_of[order], return_index=True)
    largest = np.sort(order[first])
    return largest[~is_known[largest]], int(is_known.sum())


def _nearest_to_centers(features: np.ndarray, weights: np.ndarray, *, number: int, seed: int) -> np.ndarray:
    """(number,) rows: of each cluster of weighted k-means the row nearest to its center that is not taken yet."""
    from sklearn.cluster import KMeans  # a second, which other commands need not wait for
    from sklearn.exceptions import ConvergenceWarning

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer different images than clusters
        means = KMeans(number, n_init=1, random_state=seed % 2**32).fit(features, sample_weight=weights)
        distances = means.transform(features)
    is_free, found = np.ones(len(features), dtype=bool), list[int]()
    for of_center in distances.T:
        row = int(np.where(is_free, of_center, np.inf).argmin())
        is_free[row] = False
        found.append(row)
    return np.array(found, dtype=np.int64)


def _distances(features: np.ndarray, known_features: np.ndarray) -> np.ndarray:
    """(n,) of each row to the nearest of known_features (K, D), all at length 1."""
    rows, nearest = _unit(features), np.full(len(features), -1.0)
    with threadpool_limits(limits=1):
        for block in blocks_of(len(known_features)):
            np.maximum(nearest, (rows @ _unit(known_features[block]).T).max(axis=1, initial=-1), out=nearest)
    return np.sqrt(np.maximum(2 - 2 * nearest, 0))


def _unit(features: np.ndarray) -> np.ndarray:
    """Rows at length 1; those of zeros stay."""
    return np.nan_to_num(UnitRows(features)[:])
