"""Every metric against scikit-learn, plain and under weights, where a weight is a row repeated."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special

from tandem.evaluation.metrics import (
    METRICS,
    Predictions,
    brier_score,
    class_scores,
    confidence_bins,
    expected_calibration_error,
    log_loss,
    log_probs,
    macro_f1,
    predict,
    softmax,
    top1_accuracy,
)

NUM_CLASSES = 4
CLASSES = range(NUM_CLASSES)
NUM_BINS = 15
# target and predicted class of each row; a class may have no row, no prediction, or neither
PAIRS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=30)
LOGITS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 20), st.just(NUM_CLASSES)), elements=st.floats(-200, 200, width=32)
)
# target and weight of each row
WEIGHTED = st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, 5)), min_size=1, max_size=30).filter(
    lambda rows: any(weight for _, weight in rows)
)


def predicted(pairs: list[tuple[int, int]]) -> Predictions:
    targets, classes = np.array(pairs, dtype=np.int64).T
    return Predictions(targets, classes, np.eye(NUM_CLASSES)[classes])


def generated(logits: np.ndarray, data: st.DataObject) -> Predictions:
    targets = data.draw(st.lists(st.sampled_from(CLASSES), min_size=len(logits), max_size=len(logits)))
    return predict(logits, np.array(targets))


def looped_ece(predictions: Predictions) -> float:
    """Equation 3 of Guo et al. 2017, image by image."""
    columns = (predictions.probs.tolist(), predictions.predicted.tolist(), predictions.targets.tolist())
    rows = [(max(probs), predicted == target) for probs, predicted, target in zip(*columns, strict=True)]
    total = 0.0
    for number in range(NUM_BINS):
        inside = [row for row in rows if number / NUM_BINS < row[0] <= (number + 1) / NUM_BINS]
        if inside:
            confidences, rights = zip(*inside, strict=True)
            total += len(inside) / len(rows) * abs(sum(rights) / len(inside) - sum(confidences) / len(inside))
    return total


def references(predictions: Predictions) -> dict[str, float]:
    targets, classes, probs = predictions.targets, predictions.predicted, predictions.probs
    return {
        "top1_accuracy": sklearn.metrics.accuracy_score(targets, classes),
        "macro_f1": sklearn.metrics.f1_score(targets, classes, labels=CLASSES, average="macro", zero_division=0),
        "log_loss": sklearn.metrics.log_loss(targets, probs, labels=CLASSES),
        "ece": looped_ece(predictions),
        "brier_score": sklearn.metrics.brier_score_loss(targets, probs, labels=CLASSES, scale_by_half=False),
    }


@given(LOGITS, st.data())
def test_each_metric_is_that_of_scikit_learn_for_probs_of_0_and_1_too(logits: np.ndarray, data: st.DataObject) -> None:
    predictions = generated(logits, data)
    found = {name: metric(predictions) for name, metric in METRICS.items()}
    assert found == pytest.approx(references(predictions), abs=1e-9)


@given(WEIGHTED, st.integers(0, 2**32))
def test_a_weight_counts_a_row_as_often_as_repeating_it(rows: list[tuple[int, int]], seed: int) -> None:
    targets, weights = np.array(rows).T
    logits = 5 * np.random.default_rng(seed).normal(size=(len(rows), NUM_CLASSES))
    predictions, ones = predict(logits, targets), np.ones_like(weights)
    found = {name: metric.weighted(predictions, np.stack([weights, ones])) for name, metric in METRICS.items()}
    repeated = predict(np.repeat(logits, weights, axis=0), np.repeat(targets, weights))
    assert {name: values[0] for name, values in found.items()} == pytest.approx(references(repeated))
    assert {name: values[1] for name, values in found.items()} == pytest.approx(references(predictions))


@given(PAIRS)
def test_accuracy_and_macro_f1_are_those_of_scikit_learn_where_a_class_is_missing(pairs: list[tuple[int, int]]) -> None:
    predictions = predicted(pairs)
    expected = references(predictions)
    assert top1_accuracy(predictions) == pytest.approx(expected["top1_accuracy"])
    assert macro_f1(predictions) == pytest.approx(expected["macro_f1"])


@given(PAIRS)
def test_the_scores_of_each_class_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions = predicted(pairs)
    expected = sklearn.metrics.precision_recall_fscore_support(
        predictions.targets, predictions.predicted, labels=CLASSES, zero_division=0
    )
    found = class_scores(predictions, np.ones(len(predictions)))
    for values, reference in zip((found.precision, found.recall, found.f1, found.support), expected, strict=True):
        assert values == pytest.approx(reference)


@given(LOGITS)
def test_softmax_is_that_of_scipy_and_adds_up_to_one(logits: np.ndarray) -> None:
    probs = softmax(logits)
    assert probs == pytest.approx(special.softmax(logits.astype(np.float64), axis=1), abs=1e-12)
    assert probs.sum(axis=1) == pytest.approx(np.ones(len(logits)))
    assert probs.dtype == np.float64


def test_softmax_of_huge_logits_stays_finite() -> None:
    assert softmax(np.array([[3e38, -3e38, 3e38]], dtype=np.float32)).tolist() == [[0.5, 0.0, 0.5]]


def test_logits_that_differ_by_less_than_probs_can_show_are_still_ranked() -> None:
    predictions = predict(np.array([[0, 1e-20]], dtype=np.float32), np.array([1]))
    assert predictions.probs.tolist() == [[0.5, 0.5]]
    assert top1_accuracy(predictions) == 1


def test_a_confidence_on_an_edge_is_in_the_bin_below_it() -> None:
    probs = np.array([[top, 1 - top] for top in (0.5, 0.6, 0.75, 0.76, 1.0)])
    predictions = Predictions(np.zeros(5, int), probs.argmax(axis=1), probs)
    assert confidence_bins(predictions, num_bins=4).tolist() == [1, 2, 2, 3, 3]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_brier_score_of_two_classes_is_twice_the_one_of_a_single_prob(rows: list[tuple[int, float]]) -> None:
    targets, second = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    probs = np.stack([1 - second, second], axis=1)
    one_sided = sum((prob - actual) ** 2 for actual, prob in rows) / len(rows)
    assert brier_score(Predictions(targets, probs.argmax(axis=1), probs)) == pytest.approx(2 * one_sided)
    assert one_sided == pytest.approx(sklearn.metrics.brier_score_loss(targets, second, labels=[0, 1], pos_label=1))


def test_sure_and_right_scores_0_and_sure_and_wrong_scores_most() -> None:
    right = Predictions(np.arange(3), np.arange(3), np.eye(3))
    wrong = Predictions(np.array([1, 2, 0]), np.arange(3), np.eye(3))
    assert [brier_score(right), expected_calibration_error(right)] == [0, 0]
    assert [brier_score(wrong), expected_calibration_error(wrong)] == [2, 1]
    assert log_loss(wrong) == pytest.approx(-math.log(np.finfo(float).eps))


def test_without_rows_there_is_no_number() -> None:
    nothing = predict(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
    assert all(math.isnan(metric(nothing)) for metric in METRICS.values())


def test_the_smallest_prob_of_which_a_log_is_taken_is_that_of_a_float32_s_range() -> None:
    probs = np.array([0.0, 1e-31, 1e-29, 1.0])
    expected = np.log([1e-30, 1e-30, 1e-29, 1.0])
    found = log_probs(probs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)
