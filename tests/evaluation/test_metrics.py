"""Every number against scikit-learn."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special

from tandem.evaluation import metrics

NUM_CLASSES = 5
CLASSES = range(NUM_CLASSES)
# a class may have no row, no prediction, or neither
PAIRS = st.lists(st.tuples(st.integers(0, NUM_CLASSES - 1), st.integers(0, NUM_CLASSES - 1)), min_size=1, max_size=30)
LOGITS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.just(NUM_CLASSES)),
    elements=st.floats(-200, 200, width=32),
)


def split_up(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    target, predicted = np.array(pairs, dtype=np.int64).T
    return target, predicted


@given(PAIRS)
def test_accuracy_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    target, predicted = split_up(pairs)
    found = metrics.top1_accuracy(target=target, predicted=predicted)
    assert found == pytest.approx(sklearn.metrics.accuracy_score(target, predicted))


@given(PAIRS)
def test_confusion_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    target, predicted = split_up(pairs)
    found = metrics.confusion(target=target, predicted=predicted, num_classes=NUM_CLASSES)
    assert (found == sklearn.metrics.confusion_matrix(target, predicted, labels=CLASSES)).all()


@given(PAIRS)
def test_precision_recall_and_f1_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    target, predicted = split_up(pairs)
    table = metrics.confusion(target=target, predicted=predicted, num_classes=NUM_CLASSES)
    expected = sklearn.metrics.precision_recall_fscore_support(target, predicted, labels=CLASSES, zero_division=0)
    for own, reference in zip(metrics.precision_recall_f1(table), expected[:3], strict=True):
        assert own == pytest.approx(reference)


@given(PAIRS)
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    target, predicted = split_up(pairs)
    found = metrics.macro_f1(target=target, predicted=predicted, num_classes=NUM_CLASSES)
    expected = sklearn.metrics.f1_score(target, predicted, labels=CLASSES, average="macro", zero_division=0)
    assert found == pytest.approx(expected)


@given(LOGITS)
def test_softmax_is_that_of_scipy_and_adds_up_to_one(logits: np.ndarray) -> None:
    probs = metrics.softmax(logits)
    assert probs == pytest.approx(special.softmax(logits.astype(np.float64), axis=1), abs=1e-12)
    assert probs.sum(axis=1) == pytest.approx(np.ones(len(logits)))
    assert probs.dtype == np.float64


@given(LOGITS, st.data())
def test_log_loss_is_that_of_scikit_learn_for_probs_of_0_and_1_too(logits: np.ndarray, data: st.DataObject) -> None:
    target = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(logits), max_size=len(logits))))
    probs = metrics.softmax(logits)
    expected = sklearn.metrics.log_loss(target, probs, labels=CLASSES)
    assert metrics.log_loss(target=target, probs=probs) == pytest.approx(expected, abs=1e-9)


def test_softmax_of_huge_logits_stays_finite() -> None:
    assert metrics.softmax(np.array([[3e38, -3e38, 3e38]], dtype=np.float32)).tolist() == [[0.5, 0.0, 0.5]]


def test_without_rows_there_is_no_number() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert math.isnan(metrics.top1_accuracy(target=nothing, predicted=nothing))
    assert math.isnan(metrics.log_loss(target=nothing, probs=np.zeros((0, 3))))
    assert metrics.macro_f1(target=nothing, predicted=nothing, num_classes=3) == 0
