"""Risk and coverage against a loop over thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.evaluation import metrics, selective
from tandem.evaluation.selective import RiskCoverage


def drawn(seed: int, num_rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(3, size=num_rows)
    probs = metrics.softmax(rng.normal(size=(num_rows, 3)) + 2 * np.eye(3)[target])
    return target, probs.round(1) / probs.round(1).sum(axis=1, keepdims=True)  # many are equally sure


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_each_point_is_what_keeping_from_its_threshold_on_gives(seed: int, num_rows: int) -> None:
    target, probs = drawn(seed, num_rows)
    points = selective.risk_coverage(target=target, probs=probs)
    assert [point.threshold for point in points] == sorted(set(probs.max(axis=1).tolist()), reverse=True)
    for point in points:
        kept = [(row.max() >= point.threshold, row.argmax() != own) for row, own in zip(probs, target, strict=True)]
        wrong = [is_wrong for is_kept, is_wrong in kept if is_kept]
        assert point.coverage == pytest.approx(len(wrong) / len(kept))
        assert point.error == pytest.approx(sum(wrong) / len(wrong))
        assert selective.at_threshold(target=target, probs=probs, threshold=point.threshold) == point
    assert points[-1].coverage == 1


@given(st.integers(0, 2**32), st.floats(0.01, 0.5))
def test_the_threshold_keeps_as_many_as_it_may(seed: int, max_error: float) -> None:
    target, probs = drawn(seed)
    threshold = selective.threshold_for(target=target, probs=probs, max_error=max_error)
    allowed = [p for p in selective.risk_coverage(target=target, probs=probs) if p.error <= max_error]
    if allowed:
        kept = selective.at_threshold(target=target, probs=probs, threshold=threshold)
        assert kept.error <= max_error
        assert kept.coverage == max(point.coverage for point in allowed)
    else:
        assert threshold == 1


def test_a_model_that_is_always_wrong_keeps_nothing() -> None:
    target, probs = np.zeros(3, dtype=np.int64), np.array([[0.2, 0.8]] * 3)
    threshold = selective.threshold_for(target=target, probs=probs, max_error=0.1)
    kept = selective.at_threshold(target=target, probs=probs, threshold=threshold)
    assert kept == RiskCoverage(1.0, 0.0, None)


def test_without_rows_there_is_no_point() -> None:
    target, probs = np.zeros(0, dtype=np.int64), np.zeros((0, 3))
    assert selective.risk_coverage(target=target, probs=probs) == []
    assert selective.threshold_for(target=target, probs=probs, max_error=0.1) == 1
    assert selective.at_threshold(target=target, probs=probs, threshold=0.5) == RiskCoverage(0.5, 0.0, None)


def test_planted_points() -> None:
    target = np.array([0, 0, 1, 1])
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.4, 0.6]])
    assert selective.risk_coverage(target=target, probs=probs) == [
        RiskCoverage(0.9, 0.25, 0.0),
        RiskCoverage(0.8, 0.75, pytest.approx(1 / 3)),
        RiskCoverage(0.6, 1.0, 0.25),
    ]
    assert selective.threshold_for(target=target, probs=probs, max_error=0.25) == 0.6
