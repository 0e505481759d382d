"""Thresholds that hold for a new group: by simulation, against the usual quantile, and what that gets wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import evaluate_settings
from tandem.evaluation.conformal import (
    conformal_threshold,
    is_ood,
    names_in_set,
    ood_threshold,
    prediction_sets,
    set_means,
    set_scores,
    set_threshold,
)
from tandem.evaluation.metrics import Predictions

PROBS = np.array([[0.7, 0.2, 0.1], [0.45, 0.5, 0.05], [0.3, 0.3, 0.4], [0.34, 0.33, 0.33]])
NUM_GROUPS, NUM_DRAWS, WANTED = 40, 4000, 0.95


def drawn_groups(rng, num_groups):
    """Scores and groups: one group in ten has thirty images, which are easy and alike; the others have one."""
    is_large = rng.random(num_groups) < 0.1
    group_of = np.repeat(np.arange(num_groups), np.where(is_large, 30, 1))
    center = rng.normal(size=num_groups) - 2 * is_large
    return center[group_of] + 0.1 * rng.normal(size=len(group_of)), group_of


def usual_threshold(scores, _groups):
    """As if each image were a group."""
    rank = math.ceil((len(scores) + 1) * WANTED)
    return np.sort(scores)[rank - 1] if rank <= len(scores) else np.inf


def coverage_of(threshold_of):
    rng, num_covered = np.random.default_rng(0), 0
    for _ in range(NUM_DRAWS):
        scores, groups = drawn_groups(rng, NUM_GROUPS + 1)
        is_new = groups == rng.integers(NUM_GROUPS + 1)
        num_covered += rng.choice(scores[is_new]) <= threshold_of(scores[~is_new], groups[~is_new])
    return num_covered / NUM_DRAWS


def test_an_image_of_a_new_group_is_covered_as_often_as_was_wanted_and_the_usual_way_fails():
    found = coverage_of(lambda scores, groups: conformal_threshold(scores, groups, coverage=WANTED))
    error = math.sqrt(WANTED * (1 - WANTED) / NUM_DRAWS)
    assert WANTED - 3 * error < found < WANTED + 1 / NUM_GROUPS + 3 * error
    assert coverage_of(usual_threshold) < WANTED - 6 * error


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_where_each_group_is_one_image_it_is_the_usual_quantile(seed, num_images, wanted):
    scores = np.random.default_rng(seed).integers(0, 30, num_images).astype(float)
    rank = math.ceil(round((num_images + 1) * wanted, 6))
    usual = np.sort(scores)[rank - 1] if rank <= num_images else np.inf
    assert conformal_threshold(scores, np.arange(num_images), coverage=wanted) == usual


def test_how_many_images_a_group_has_changes_nothing_where_they_are_the_same():
    scores, groups = np.array([1.0, 2, 3, 4]), np.array(list("abcd"))
    sizes = [1, 50, 2, 7]
    assert conformal_threshold(scores.repeat(sizes), groups.repeat(sizes), coverage=0.6) == 3


def test_with_too_few_groups_nothing_is_promised():
    assert conformal_threshold(np.arange(18), np.arange(18), coverage=0.95) == np.inf
    assert conformal_threshold(np.arange(19), np.arange(19), coverage=0.95) == 18
    assert conformal_threshold(np.arange(100), np.zeros(100), coverage=0.95) == np.inf
    assert ood_threshold(np.arange(18.0), np.arange(18), false_alarm_rate=0.05) is None
    assert not is_ood(np.array([1e9]), None).any()


def test_an_image_is_flagged_above_the_threshold_and_not_at_it():
    threshold = ood_threshold(np.arange(19.0), np.arange(19), false_alarm_rate=0.05)
    assert threshold == 18
    assert is_ood(np.array([17, 18, 18.001]), threshold).tolist() == [False, False, True]


def test_a_set_holds_every_class_from_the_threshold_on_and_never_nothing():
    assert prediction_sets(PROBS, 0.3).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert prediction_sets(PROBS, 0.9).sum(axis=1).tolist() == [1, 1, 1, 1]
    assert prediction_sets(PROBS, 0.0).all()
    assert names_in_set(PROBS[1], 0.3, "abc") == ["b", "a"]
    assert names_in_set(PROBS[1], 1.0, "abc") == ["b"]


def test_the_threshold_is_the_prob_that_all_but_the_rarest_targets_have():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 199)
    targets = rng.integers(3, size=199)
    predictions = Predictions(targets, probs.argmax(axis=1), probs)
    of_target = np.sort(probs[np.arange(199), targets])
    assert set_threshold(predictions, np.arange(199), coverage=0.95) == of_target[199 - 190]
    assert set_threshold(predictions, np.zeros(199), coverage=0.95) == 0


def test_each_group_counts_once_in_coverage_and_mean_size():
    targets = np.array([0, 0, 1, 2])  # covered, covered, covered, not, by sets of 1, 2, 3 and 1 classes
    probs = np.vstack([PROBS[:3], [[0.8, 0.1, 0.1]]])
    predictions, groups = Predictions(targets, probs.argmax(axis=1), probs), np.array(list("aaab"))
    found = set_means(predictions, groups, threshold=0.3)
    assert found == {"coverage": pytest.approx((1 + 0) / 2), "mean_size": pytest.approx((2 + 1) / 2)}
    scores = set_scores(predictions, groups, threshold=0.3, settings=evaluate_settings())
    assert {name: scores[name] for name in found} == found
    assert scores["sizes"] == {"1": 2, "2": 1, "3": 1}
    assert scores["interval"]["coverage"] == {"low": 0.0, "high": 1.0}
    assert (scores["wanted"], scores["threshold"]) == (0.9, 0.3)


def test_of_no_images_coverage_is_not_known():
    none = Predictions(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3)))
    found = set_scores(none, np.zeros(0), threshold=0.3, settings=evaluate_settings())
    assert np.isnan([found["coverage"], found["mean_size"]]).all()
