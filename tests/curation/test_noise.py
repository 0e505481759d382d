"""The noise of labels that were drawn by a known transition matrix, and the odds against Bayes' rule."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tandem.curation.label_errors.noise import even_noise, label_posterior, pooled_log_probs


def drawn(transition: np.ndarray, num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(num, C) probabilities of the classes, the classes that are drawn by them, and labels of those by the matrix."""
    rng, num_classes = np.random.default_rng(seed), len(transition)
    probs = rng.dirichlet(np.full(num_classes, 0.05), num).clip(1e-9)
    probs /= probs.sum(axis=1, keepdims=True)
    shown = np.array([rng.choice(num_classes, p=row) for row in probs])
    return probs, shown, np.array([rng.choice(num_classes, p=transition[each]) for each in shown])


def test_even_noise_leaves_each_label_right_but_for_the_rate() -> None:
    matrix = even_noise(4, 0.3)
    np.testing.assert_allclose(np.diag(matrix), 0.7)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert set(np.round(matrix[~np.eye(4, dtype=bool)], 12)) == {0.1}
    assert even_noise(1, 0.3).tolist() == [[1.0]]


def test_the_noise_that_labels_were_drawn_with_is_found() -> None:
    truth = np.array([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.05, 0.05, 0.9]])
    probs, _, targets = drawn(truth, 6000)
    found = label_posterior(np.log(probs), targets, even_noise(3), 1.0)
    np.testing.assert_allclose(found.transition, truth, atol=0.03)


def test_a_prior_count_spreads_the_noise_of_few_labels_over_all_classes() -> None:
    truth = np.array([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    probs, _, targets = drawn(truth, 300)
    differences = []
    for count in (1.0, 100.0, 1e9):
        matrix = label_posterior(np.log(probs), targets, even_noise(3), count).transition
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        differences.append(matrix[0, 1] - matrix[0, 2])
    assert differences[0] > differences[1] > differences[2] >= 0
    assert differences[2] < 1e-6


def test_odds_are_those_of_bayes_rule_under_the_noise_that_is_found() -> None:
    probs, _, targets = drawn(np.array([[0.7, 0.3], [0.1, 0.9]]), 400)
    found = label_posterior(np.log(probs), targets, even_noise(2), 5.0)
    joint = probs * found.transition[:, targets].T
    right = joint[np.arange(400), targets]
    np.testing.assert_allclose(found.shown, joint / joint.sum(axis=1, keepdims=True), atol=1e-9)
    np.testing.assert_allclose(found.log_odds, np.log((joint.sum(axis=1) - right) / right), rtol=1e-5, atol=1e-6)


def test_the_odds_are_higher_where_a_confusion_is_frequent() -> None:
    truth = np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    probs, _, targets = drawn(truth, 3000)
    probs[:2], targets[:2] = [[0.5, 0.5 - 1e-9, 1e-9], [1e-9, 0.5 - 1e-9, 0.5]], [1, 2]
    odds = label_posterior(np.log(probs), targets, even_noise(3), 10.0).log_odds
    assert odds[0] > odds[1]  # labels of class 0 are often 1, those of class 1 never 2


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_odds_are_pooled_with_those_under_even_noise_of_the_rate_that_is_found(share: float) -> None:
    probs, _, targets = drawn(np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.0, 0.1, 0.9]]), 400)
    found = label_posterior(np.log(probs), targets, even_noise(3), 20.0, share)

    def odds(matrix: np.ndarray) -> np.ndarray:
        joint, rows = probs * matrix[:, targets].T, np.arange(400)
        return np.asarray((joint.sum(axis=1) - joint[rows, targets]) / joint[rows, targets])

    is_changed = found.shown * (1 - np.diag(found.transition))
    even = odds(even_noise(3, is_changed.sum() / 400))
    expected = odds(found.transition) ** share * even ** (1 - share)
    np.testing.assert_allclose(found.log_odds, np.log(expected), rtol=1e-5, atol=1e-5)


def test_classes_that_are_hard_to_tell_apart_do_not_come_first_alone() -> None:
    """A fifth of two classes looks like the other of the two, with right labels; wrong labels are of any class."""
    rng = np.random.default_rng(0)
    shown = np.arange(900) % 6
    logits = 3.0 * np.eye(6)[shown] + rng.normal(size=(900, 6))
    is_hard = (shown < 2) & (rng.random(900) < 0.2)
    logits[is_hard] = logits[is_hard][:, [1, 0, 2, 3, 4, 5]]
    is_wrong = rng.random(900) < 0.03
    targets = np.where(is_wrong, (shown + rng.integers(1, 6, 900)) % 6, shown)
    log_probs = pooled_log_probs(logits, logits, targets, even_noise(6), 0.0)
    precision = [
        average_precision_score(is_wrong, label_posterior(log_probs, targets, even_noise(6), 20.0, share).log_odds)
        for share in (1.0, 0.75)
    ]
    assert precision[0] < precision[1]


@pytest.mark.parametrize("scale", [0.02, 1.0, 7.0])
def test_logits_of_any_scale_give_the_probabilities_that_labels_were_drawn_by(scale: float) -> None:
    probs, _, targets = drawn(even_noise(3, 0.05), 4000)
    logits = np.log(probs)
    found = pooled_log_probs(scale * logits, scale * logits, targets, even_noise(3, 0.05), 0.0)
    assert np.abs(np.exp(found) - probs).mean() < 0.02


def test_a_weight_turns_from_the_probe_to_the_neighbors() -> None:
    probs, shown, targets = drawn(even_noise(3, 0.0), 500)
    good, bad = np.log(probs), np.random.default_rng(1).normal(size=(500, 3))

    def accuracy(weight: float) -> float:
        return float((pooled_log_probs(bad, good, targets, even_noise(3), weight).argmax(axis=1) == shown).mean())

    assert accuracy(0.0) < 0.5 < accuracy(0.5) <= accuracy(0.99) + 0.02


def test_a_class_that_cannot_be_compared_has_no_probability_unless_none_can() -> None:
    rng = np.random.default_rng(0)
    probe, neighbors = rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    neighbors[0, 1], neighbors[1] = -np.inf, -np.inf
    found = np.exp(pooled_log_probs(probe, neighbors, np.arange(9) % 3, even_noise(3), 0.25))
    assert found[0, 1] == 0
    assert (found[1] > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
