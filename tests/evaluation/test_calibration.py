"""Calibration against a loop over images, scikit-learn, torch's own minimiser, and labels drawn from known odds."""

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special

from tandem.evaluation import calibration, metrics

NUM_CLASSES = 4
CLASSES = range(NUM_CLASSES)
LOGITS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 30), st.just(NUM_CLASSES)), elements=st.floats(-100, 100, width=32)
)


def drawn(seed: int, *, num_rows: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(n, C) logits and targets drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_rows, NUM_CLASSES)) * 4
    odds = metrics.softmax(logits / temperature).cumsum(axis=1)
    return logits.astype(np.float32), (rng.random((num_rows, 1)) > odds[:, :-1]).sum(axis=1)


def targets_for(logits: np.ndarray, data: st.DataObject) -> np.ndarray:
    return np.array(data.draw(st.lists(st.sampled_from(CLASSES), min_size=len(logits), max_size=len(logits))))


def loss_at(temperature: float, logits: np.ndarray, target: np.ndarray) -> float:
    return sklearn.metrics.log_loss(target, metrics.softmax(logits / temperature), labels=CLASSES)


# --- the temperature


@pytest.mark.parametrize("planted", [0.4, 1.0, 2.5, 6.0])
def test_the_temperature_that_labels_were_drawn_with_is_found_again(planted: float) -> None:
    logits, target = drawn(0, num_rows=20_000, temperature=planted)
    assert calibration.fit_temperature(logits, target=target) == pytest.approx(planted, rel=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_that_of_the_minimiser_of_torch(seed: int) -> None:
    logits, target = drawn(seed, num_rows=200, temperature=2.0)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    minimiser = torch.optim.LBFGS([log_temperature], max_iter=200, line_search_fn="strong_wolfe")
    rows, classes = torch.from_numpy(logits).double(), torch.from_numpy(target)

    def closure() -> torch.Tensor:
        minimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(rows / log_temperature.exp(), classes)
        loss.backward()
        return loss

    minimiser.step(closure)
    found = calibration.fit_temperature(logits, target=target)
    assert found == pytest.approx(log_temperature.exp().item(), rel=1e-4)


@settings(max_examples=30)
@given(LOGITS, st.data())
def test_no_temperature_of_a_fine_grid_is_better(logits: np.ndarray, data: st.DataObject) -> None:
    logits = logits / 8  # probs that are not capped
    target = targets_for(logits, data)
    tried = np.array([calibration.fit_temperature(logits, target=target), 1.0, *np.geomspace(0.201, 19.9, 200)])
    log_probs = special.log_softmax(logits.astype(np.float64) / tried[:, None, None], axis=2)
    losses = -log_probs[:, np.arange(len(target)), target].mean(axis=1)
    assert losses[0] <= losses[1]
    assert losses[0] <= losses.min() + 1e-6


@given(LOGITS, st.data())
def test_the_log_loss_does_not_rise_where_it_is_capped_either(logits: np.ndarray, data: st.DataObject) -> None:
    target = targets_for(logits, data)
    found = calibration.fit_temperature(logits, target=target)
    assert 0.2 <= found <= 20
    assert loss_at(found, logits, target) <= loss_at(1.0, logits, target)


def test_one_wildly_wrong_image_whose_cost_is_capped_does_not_make_the_others_worse() -> None:
    logits = np.array([[2.0, 0.0]] * 20 + [[1000.0, 0.0]])
    target = np.array([0] * 20 + [1])
    assert calibration.fit_temperature(logits, target=target) == 1.0


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_logits_times_a_factor_want_a_temperature_times_that_factor(factor: float) -> None:
    logits, target = drawn(1, num_rows=500, temperature=1.5)
    once = calibration.fit_temperature(logits, target=target)
    assert calibration.fit_temperature(logits * factor, target=target) == pytest.approx(once * factor, rel=1e-4)


def test_the_same_rows_give_the_same_temperature_in_any_order() -> None:
    logits, target = drawn(2, num_rows=300, temperature=2.0)
    found = calibration.fit_temperature(logits, target=target)
    assert found == calibration.fit_temperature(logits, target=target)
    assert found == pytest.approx(calibration.fit_temperature(logits[::-1], target=target[::-1]), rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "target", "expected"),
    [
        (np.zeros((0, 3)), [], 1.0),
        (np.zeros((5, 3)), [0, 1, 2, 0, 1], 1.0),  # every temperature is as good
        (np.ones((5, 1)), [0] * 5, 1.0),  # one class
        (np.eye(3) * 10_000, [0, 1, 2], 1.0),  # the loss is 0 and cannot sink
        (np.eye(3) * 3e38, [0, 1, 2], 1.0),
        (np.eye(3) * 10, [0, 1, 2], 0.2),  # all right: the colder the better, down to the bound
        (np.eye(3) * 10, [1, 2, 0], 20.0),  # all wrong: the hotter the better
        (np.eye(3) * 3e38, [1, 2, 0], 20.0),
    ],
)
def test_the_temperature_where_there_is_nothing_to_fit_or_no_end(
    logits: np.ndarray, target: list[int], expected: float
) -> None:
    found = calibration.fit_temperature(logits.astype(np.float32), target=np.array(target, dtype=np.int64))
    assert found == pytest.approx(expected, rel=1e-5)


@given(LOGITS, st.floats(0.05, 20))
def test_calibrated_logits_have_the_same_class_on_top(logits: np.ndarray, temperature: float) -> None:
    found = calibration.apply_temperature(logits, temperature)
    assert found.dtype == np.float32
    assert found == pytest.approx(logits.astype(np.float64) / temperature, rel=1e-6, abs=1e-30)
    # two logits that differ in their last bit alone may come out alike
    assert (found[np.arange(len(found)), logits.argmax(axis=1)] == found.max(axis=1)).all()


def test_the_fitted_temperature_leaves_accuracy_and_makes_a_model_more_believable() -> None:
    logits, target = drawn(3, num_rows=5000, temperature=3.0)
    found = calibration.apply_temperature(logits, calibration.fit_temperature(logits, target=target))
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()
    before, after = metrics.softmax(logits), metrics.softmax(found)
    assert calibration.expected_calibration_error(target=target, probs=before) > 0.2
    assert calibration.expected_calibration_error(target=target, probs=after) < 0.03
    assert calibration.brier_score(target=target, probs=after) < calibration.brier_score(target=target, probs=before)


# --- how believable probs are


def looped_error(target: np.ndarray, probs: np.ndarray, num_bins: int) -> float:
    """Equation 3 of Guo et al. 2017, image by image."""
    total = 0.0
    for number in range(num_bins):
        confidences, rights = [], []
        for row, actual in zip(probs.tolist(), target.tolist(), strict=True):
            if number / num_bins < max(row) <= (number + 1) / num_bins:
                confidences.append(max(row))
                rights.append(row.index(max(row)) == actual)
        if rights:
            gap = abs(sum(rights) / len(rights) - sum(confidences) / len(rights))
            total += len(rights) / len(target) * gap
    return total


@given(LOGITS, st.integers(1, 20), st.data())
def test_the_calibration_error_is_that_of_a_loop_over_images(
    logits: np.ndarray, num_bins: int, data: st.DataObject
) -> None:
    target, probs = targets_for(logits, data), metrics.softmax(logits / 20)
    found = calibration.expected_calibration_error(target=target, probs=probs, num_bins=num_bins)
    assert found == pytest.approx(looped_error(target, probs, num_bins), abs=1e-12)
    assert 0 <= found <= 1


def test_bins_show_what_was_planted_and_leave_out_empty_ones() -> None:
    top = [0.5, 0.75, 0.875, 0.875]
    probs = np.array([[p, 1 - p] for p in top])
    found = calibration.reliability(target=np.array([0, 1, 0, 1]), probs=probs, num_bins=4)
    # an edge belongs to the bin below it
    assert found == [
        calibration.ReliabilityBin(0.25, 0.5, images=1, confidence=0.5, top1_accuracy=1.0),
        calibration.ReliabilityBin(0.5, 0.75, images=1, confidence=0.75, top1_accuracy=0.0),
        calibration.ReliabilityBin(0.75, 1.0, images=2, confidence=0.875, top1_accuracy=0.5),
    ]
    error = calibration.expected_calibration_error(target=np.array([0, 1, 0, 1]), probs=probs, num_bins=4)
    assert error == (0.5 + 0.75 + 2 * 0.375) / 4


@given(LOGITS, st.data())
def test_every_image_is_in_one_bin_which_holds_its_confidence(logits: np.ndarray, data: st.DataObject) -> None:
    target, probs = targets_for(logits, data), metrics.softmax(logits)
    found = calibration.reliability(target=target, probs=probs)
    assert sum(own.images for own in found) == len(target)
    assert all(own.low < own.confidence <= own.high + 1e-12 and own.images > 0 for own in found)
    assert [own.low for own in found] == sorted({own.low for own in found})
    right = sum(own.images * own.top1_accuracy for own in found) / len(target)
    assert right == pytest.approx(sklearn.metrics.accuracy_score(target, probs.argmax(axis=1)))


@given(LOGITS, st.data())
def test_the_brier_score_is_that_of_scikit_learn(logits: np.ndarray, data: st.DataObject) -> None:
    target, probs = targets_for(logits, data), metrics.softmax(logits)
    expected = sklearn.metrics.brier_score_loss(target, probs, labels=CLASSES, scale_by_half=False)
    assert calibration.brier_score(target=target, probs=probs) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_brier_score_of_two_classes_is_twice_the_one_of_a_single_prob(rows: list[tuple[int, float]]) -> None:
    target, second = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = calibration.brier_score(target=target, probs=np.stack([1 - second, second], axis=1))
    one_sided = sum((prob - actual) ** 2 for actual, prob in rows) / len(rows)
    assert found == pytest.approx(2 * one_sided)
    assert one_sided == pytest.approx(sklearn.metrics.brier_score_loss(target, second, labels=[0, 1], pos_label=1))


def test_sure_and_right_scores_0_and_sure_and_wrong_scores_most() -> None:
    target, other = np.array([0, 1, 2]), np.array([1, 2, 0])
    assert calibration.brier_score(target=target, probs=np.eye(3)) == 0
    assert calibration.brier_score(target=other, probs=np.eye(3)) == 2
    assert calibration.expected_calibration_error(target=target, probs=np.eye(3)) == 0
    assert calibration.expected_calibration_error(target=other, probs=np.eye(3)) == 1


def test_without_rows_there_is_no_number() -> None:
    target, probs = np.zeros(0, dtype=np.int64), np.zeros((0, 3))
    assert math.isnan(calibration.expected_calibration_error(target=target, probs=probs))
    assert math.isnan(calibration.brier_score(target=target, probs=probs))
    assert calibration.reliability(target=target, probs=probs) == []
    assert calibration.apply_temperature(probs, 2.0).shape == (0, 3)
