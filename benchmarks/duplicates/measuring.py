"""Recall and precision of the pairs that a method finds among planted near duplicates."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from duplicates.planted import Images

MIN_PRECISION = 0.99  # that thresholds are tuned for

Found = Mapping[str, np.ndarray]  # transformation -> (P, 2) row pairs


class Score(NamedTuple):
    """What a method reached. recalls: by transformation. num_wrong: of num_pairs."""

    recalls: dict[str, float]
    num_pairs: int
    num_wrong: int

    @property
    def recall(self) -> float:
        """Over all transformations, which have equally many duplicates."""
        return sum(self.recalls.values()) / len(self.recalls)

    @property
    def precision(self) -> float:
        return 1 - self.num_wrong / self.num_pairs if self.num_pairs else 1.0


class Run(NamedTuple):
    """A method by its name, and the pairs that it found in so many seconds of the processor. threshold: for people."""

    name: str
    found: Found
    seconds: float
    threshold: str = ""


def score(found: Found, images: Images, natural_set_of: np.ndarray) -> Score:
    """natural_set_of: the same number for originals that are near duplicates of one another by nature."""
    recalls, num_wrong = {}, 0
    for name, pairs in found.items():
        originals = images.original_of[pairs]
        is_planted = originals[:, 0] == originals[:, 1]
        paired = np.unique(pairs[is_planted].max(axis=1, initial=-1))  # duplicates come after the originals
        recalls[name] = len(paired) / images.num_duplicates
        num_wrong += int(is_wrong(pairs, images, natural_set_of).sum())
    return Score(recalls, sum(map(len, found.values())), num_wrong)


def is_wrong(pairs: np.ndarray, images: Images, natural_set_of: np.ndarray) -> np.ndarray:
    """(P,) whether the images of a pair come from originals that are no near duplicates."""
    first, second = natural_set_of[images.original_of[pairs]].T
    return first != second


def pairs_of_originals(images: Images, found: Iterable[np.ndarray]) -> np.ndarray:
    """(P, 2) the originals of the pairs, first < second, unique, without those of one original."""
    originals = np.sort(images.original_of[np.concatenate(list(found))], axis=1)
    return np.unique(originals[originals[:, 0] != originals[:, 1]], axis=0)


def best_threshold(similarity: np.ndarray, wrong: np.ndarray) -> float:
    """The lowest threshold at which the precision is MIN_PRECISION or more; inf where there is none."""
    order = np.argsort(-similarity, kind="stable")
    ranked, num_wrong = similarity[order], np.cumsum(wrong[order])
    is_last = np.append(ranked[1:] < ranked[:-1], True)  # pairs of one similarity come in together
    fits = is_last & (1 - num_wrong / np.arange(1, len(order) + 1) >= MIN_PRECISION)
    return float(ranked[fits][-1]) if fits.any() else np.inf
