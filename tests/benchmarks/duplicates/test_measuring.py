"""Recall, precision and tuned thresholds, by planted pairs."""

import numpy as np
import pytest

from duplicates import measuring
from duplicates.transformations import TRANSFORMATIONS
from planted_duplicates import NONE, by_first, four_originals

NONE_NATURAL = np.arange(4)


@pytest.fixture
def images(tmp_path):
    return four_originals(tmp_path)


def test_a_duplicate_counts_once_and_a_pair_of_other_originals_is_wrong(images):
    score = measuring.score(by_first([[0, 4], [0, 5], [1, 3]]), images, NONE_NATURAL)
    first, *others = TRANSFORMATIONS
    assert score.recalls[first] == 0.5
    assert all(score.recalls[name] == 0 for name in others)
    assert score.recall == pytest.approx(0.5 / len(TRANSFORMATIONS))
    assert (score.num_pairs, score.num_wrong) == (3, 2)
    assert score.precision == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("natural_set_of", "num_wrong"), [([0, 1, 2, 1], 1), ([0, 1, 0, 3], 1), ([0, 1, 0, 1], 0), ([0, 1, 2, 3], 2)]
)
def test_near_duplicates_by_nature_are_not_wrong_neither_are_theirs(images, natural_set_of, num_wrong):
    pairs = by_first([[0, 4], [0, 5], [1, 3]])
    assert measuring.score(pairs, images, np.array(natural_set_of)).num_wrong == num_wrong


def test_nothing_found_is_no_recall_and_no_wrong_pair(images):
    score = measuring.score(by_first(NONE), images, NONE_NATURAL)
    assert (score.recall, score.precision) == (0, 1)


def test_pairs_are_named_by_their_originals_without_those_of_one(images):
    pairs = [np.array([[0, 4], [4, 5]]), np.array([[0, 2], [1, 5]])]
    assert measuring.pairs_of_originals(images, pairs).tolist() == [[0, 2], [1, 2]]


def test_the_threshold_is_the_lowest_that_is_precise_enough():
    wrong = np.zeros(300, dtype=bool)
    wrong[[150, 250, 260, 270]] = True  # 2 of 260 are wrong, then 3 of 261
    assert measuring.best_threshold(np.linspace(1, 0, 300), wrong) == pytest.approx(1 - 259 / 299)
    assert measuring.best_threshold(np.array([0.9, 0.9]), np.array([False, True])) == np.inf  # they come in together
    assert measuring.best_threshold(np.array([0.8, 0.9]), np.array([True, False])) == 0.9
