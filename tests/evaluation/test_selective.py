"""Risk and coverage against a loop over thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.evaluation.metrics import Predictions, softmax
from tandem.evaluation.selective import RiskCoverage, at_threshold, risk_coverage, threshold_for


def from_probs(targets: np.ndarray, probs: np.ndarray) -> Predictions:
    return Predictions(targets, probs.argmax(axis=1), probs)


def generated(seed: int, num_rows: int = 40) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = rng.integers(3, size=num_rows)
    probs = softmax(rng.normal(size=(num_rows, 3)) + 2 * np.eye(3)[targets]).round(1)
    return from_probs(targets, probs / probs.sum(axis=1, keepdims=True))  # many are equally sure


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_each_point_is_what_keeping_from_its_threshold_on_gives(seed: int, num_rows: int) -> None:
    predictions = generated(seed, num_rows)
    rows = list(zip(predictions.probs, predictions.targets, strict=True))
    points = risk_coverage(predictions)
    assert [point.threshold for point in points] == sorted({row.max() for row, _ in rows}, reverse=True)
    for point in points:
        is_wrong = [row.argmax() != target for row, target in rows if row.max() >= point.threshold]
        assert point.coverage == pytest.approx(len(is_wrong) / num_rows)
        assert point.selective_risk == pytest.approx(sum(is_wrong) / len(is_wrong))
        assert at_threshold(predictions, point.threshold) == point
    assert points[-1].coverage == 1


@given(st.integers(0, 2**32), st.floats(0.01, 0.5))
def test_the_threshold_keeps_as_many_as_it_may(seed: int, max_error: float) -> None:
    predictions = generated(seed)
    threshold = threshold_for(predictions, max_error=max_error)
    allowed = [point for point in risk_coverage(predictions) if point.selective_risk <= max_error]
    if allowed:
        kept = at_threshold(predictions, threshold)
        assert kept.selective_risk <= max_error
        assert kept.coverage == max(point.coverage for point in allowed)
    else:
        assert threshold == 1


def test_a_model_that_is_always_wrong_keeps_nothing() -> None:
    predictions = from_probs(np.zeros(3, dtype=np.int64), np.array([[0.2, 0.8]] * 3))
    threshold = threshold_for(predictions, max_error=0.1)
    assert at_threshold(predictions, threshold) == RiskCoverage(1.0, 0.0, None)


def test_without_rows_there_is_no_point() -> None:
    nothing = from_probs(np.zeros(0, dtype=np.int64), np.zeros((0, 3)))
    assert risk_coverage(nothing) == []
    assert threshold_for(nothing, max_error=0.1) == 1
    assert at_threshold(nothing, 0.5) == RiskCoverage(0.5, 0.0, None)


def test_where_all_is_right_a_confidence_that_the_limit_itself_allows_is_not_left_to_a_person() -> None:
    sure = from_probs(np.array([0, 1]), np.array([[0.99999, 0.00001], [0.00002, 0.99998]]))
    assert threshold_for(sure, max_error=0.05) == 0.95
    one_wrong = from_probs(np.array([0, 0]), np.array([[0.99999, 0.00001], [0.00002, 0.99998]]))
    assert threshold_for(one_wrong, max_error=0.05) == 0.99999


def test_planted_points() -> None:
    predictions = from_probs(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.4, 0.6]]))
    assert risk_coverage(predictions) == [
        RiskCoverage(0.9, 0.25, 0.0),
        RiskCoverage(0.8, 0.75, pytest.approx(1 / 3)),
        RiskCoverage(0.6, 1.0, 0.25),
    ]
    assert threshold_for(predictions, max_error=0.25) == 0.6
