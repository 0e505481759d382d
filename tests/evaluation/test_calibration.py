"""Calibration against torch's own minimiser, scikit-learn, and labels sampled from known odds."""

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special, stats

from tandem.evaluation.calibration import (
    ReliabilityBin,
    apply_temperature,
    ece_under_calibration,
    fit_temperature,
    reliability,
)
from tandem.evaluation.metrics import Predictions, brier_score, expected_calibration_error, predict, softmax

NUM_CLASSES = 4
CLASSES = range(NUM_CLASSES)
LOGITS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 30), st.just(NUM_CLASSES)), elements=st.floats(-100, 100, width=32)
)


def generated(seed: int, *, num_rows: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(n, C) logits and targets sampled from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_rows, NUM_CLASSES)) * 4
    odds = softmax(logits / temperature).cumsum(axis=1)
    return logits.astype(np.float32), (rng.random((num_rows, 1)) > odds[:, :-1]).sum(axis=1)


def targets_for(logits: np.ndarray, data: st.DataObject) -> np.ndarray:
    return np.array(data.draw(st.lists(st.sampled_from(CLASSES), min_size=len(logits), max_size=len(logits))))


def loss_at(temperature: float, logits: np.ndarray, targets: np.ndarray) -> float:
    return sklearn.metrics.log_loss(targets, softmax(logits / temperature), labels=CLASSES)


# --- the temperature


@pytest.mark.parametrize("planted", [0.4, 1.0, 2.5, 6.0])
def test_the_temperature_that_labels_were_sampled_with_is_found_again(planted: float) -> None:
    logits, targets = generated(0, num_rows=20_000, temperature=planted)
    assert fit_temperature(logits, targets) == pytest.approx(planted, rel=0.03)


def minimised_by_torch(logits: np.ndarray, targets: np.ndarray, *, start: float) -> tuple[float, float]:
    """The lowest log loss, summed, less the log density of a Cauchy prior of scale 0.2 on log T, and where it is."""
    log_temperature = torch.tensor(np.log(start), dtype=torch.float64, requires_grad=True)
    minimiser = torch.optim.LBFGS([log_temperature], max_iter=200, line_search_fn="strong_wolfe")
    rows, classes = torch.from_numpy(logits).double(), torch.from_numpy(targets)
    prior = torch.distributions.Cauchy(torch.zeros((), dtype=torch.float64), 0.2)

    def cost() -> torch.Tensor:
        loss = torch.nn.functional.cross_entropy(rows / log_temperature.exp(), classes, reduction="sum")
        return loss - prior.log_prob(log_temperature)

    def closure() -> torch.Tensor:
        minimiser.zero_grad()
        value = cost()
        value.backward()
        return value

    minimiser.step(closure)
    return cost().item(), log_temperature.exp().item()


@pytest.mark.parametrize("num_rows", [10, 30, 200])
@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_that_of_the_minimiser_of_torch(seed: int, num_rows: int) -> None:
    logits, targets = generated(seed, num_rows=num_rows, temperature=2.0)
    _, expected = min(minimised_by_torch(logits, targets, start=start) for start in (1.0, 1.5, 2.5, 4.0))
    assert fit_temperature(logits, targets) == pytest.approx(expected, rel=1e-3)


@settings(max_examples=30)
@given(LOGITS, st.data())
def test_no_temperature_of_a_fine_grid_is_likelier(logits: np.ndarray, data: st.DataObject) -> None:
    logits = logits / 8  # probs that are not capped
    targets = targets_for(logits, data)
    tried = np.array([fit_temperature(logits, targets), 1.0, *np.geomspace(0.201, 19.9, 200)])
    log_probs = special.log_softmax(logits.astype(np.float64) / tried[:, None, None], axis=2)
    losses = -log_probs[:, np.arange(len(targets)), targets].sum(axis=1) - stats.cauchy.logpdf(np.log(tried), scale=0.2)
    assert losses[0] <= losses[1] + 1e-9
    assert losses[0] <= losses.min() + 1e-4


def test_of_few_images_the_temperature_is_better_on_others_than_that_of_maximum_likelihood() -> None:
    logits, targets = generated(0, num_rows=12_000)
    grid = np.geomspace(0.3, 3, 100)
    # (100, n) log loss of each image at each temperature of a fine grid
    losses = special.logsumexp(logits / grid[:, None, None], axis=2)
    losses -= logits[np.arange(len(targets)), targets] / grid[:, None]
    others = losses[:, 10_000:].mean(axis=1)
    fitted, likeliest = [], []
    for start in range(0, 10_000, 100):
        rows = slice(start, start + 100)
        fitted.append(np.interp(fit_temperature(logits[rows], targets[rows]), grid, others))
        likeliest.append(others[losses[:, rows].mean(axis=1).argmin()])
    at_one = np.interp(1, grid, others)  # by which the labels were sampled
    assert np.mean(fitted) - at_one < 0.7 * (np.mean(likeliest) - at_one)


@given(LOGITS, st.data())
def test_the_log_loss_does_not_rise_where_it_is_capped_either(logits: np.ndarray, data: st.DataObject) -> None:
    targets = targets_for(logits, data)
    found = fit_temperature(logits, targets)
    assert 0.2 <= found <= 20
    assert loss_at(found, logits, targets) <= loss_at(1.0, logits, targets)


def test_one_wildly_wrong_image_whose_cost_is_capped_does_not_make_the_others_worse() -> None:
    logits = np.array([[2.0, 0.0]] * 20 + [[1000.0, 0.0]])
    targets = np.array([0] * 20 + [1])
    assert fit_temperature(logits, targets) == 1.0


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_of_many_images_logits_times_a_factor_want_a_temperature_times_that_factor(factor: float) -> None:
    logits, targets = generated(1, num_rows=20_000, temperature=1.5)
    once = fit_temperature(logits, targets)
    assert fit_temperature(logits * factor, targets) == pytest.approx(once * factor, rel=2e-3)


def test_the_same_rows_give_the_same_temperature_in_any_order() -> None:
    logits, targets = generated(2, num_rows=300, temperature=2.0)
    found = fit_temperature(logits, targets)
    assert found == fit_temperature(logits, targets)
    assert found == pytest.approx(fit_temperature(logits[::-1], targets[::-1]), rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "targets", "expected"),
    [
        (np.zeros((0, 3)), [], 1.0),
        (np.zeros((5, 3)), [0, 1, 2, 0, 1], 1.0),  # every temperature is as good
        (np.ones((5, 1)), [0] * 5, 1.0),  # one class
        (np.eye(3) * 10_000, [0, 1, 2], 1.0),  # the loss is 0 and cannot sink
        (np.eye(3) * 3e38, [0, 1, 2], 1.0),
        (np.eye(3).repeat(9000, axis=0), np.arange(3).repeat(9000), 0.2),  # all right: down to the bound
        (np.eye(3) * 10, [1, 2, 0], 20.0),  # all wrong: the hotter the better
        (np.eye(3) * 3e38, [1, 2, 0], 20.0),
    ],
)
def test_the_temperature_where_there_is_nothing_to_fit_or_no_end(
    logits: np.ndarray, targets: list[int], expected: float
) -> None:
    found = fit_temperature(logits.astype(np.float32), np.array(targets, dtype=np.int64))
    assert found == pytest.approx(expected, rel=1e-5)


@given(LOGITS, st.floats(0.05, 20))
def test_calibrated_logits_have_the_same_class_on_top(logits: np.ndarray, temperature: float) -> None:
    found = apply_temperature(logits, temperature)
    assert found.dtype == np.float32
    assert found == pytest.approx(logits.astype(np.float64) / temperature, rel=1e-6, abs=1e-30)
    # two logits that differ in their last bit alone may come out alike
    assert (found[np.arange(len(found)), logits.argmax(axis=1)] == found.max(axis=1)).all()


def test_the_fitted_temperature_leaves_accuracy_and_makes_a_model_more_believable() -> None:
    logits, targets = generated(3, num_rows=5000, temperature=3.0)
    found = apply_temperature(logits, fit_temperature(logits, targets))
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()
    before, after = predict(logits, targets), predict(found, targets)
    assert expected_calibration_error(before) > 0.2
    assert expected_calibration_error(after) < 0.03
    assert brier_score(after) < brier_score(before)


# --- how believable probs are


def from_probs(targets: list[int], probs: np.ndarray) -> Predictions:
    return Predictions(np.array(targets), probs.argmax(axis=1), probs)


def test_bins_show_what_was_planted_and_leave_out_empty_ones() -> None:
    predictions = from_probs([0, 1, 0, 1], np.array([[top, 1 - top] for top in (0.5, 0.75, 0.875, 0.875)]))
    # an edge belongs to the bin below it
    assert reliability(predictions, num_bins=4) == [
        ReliabilityBin(0.25, 0.5, images=1, confidence=0.5, top1_accuracy=1.0),
        ReliabilityBin(0.5, 0.75, images=1, confidence=0.75, top1_accuracy=0.0),
        ReliabilityBin(0.75, 1.0, images=2, confidence=0.875, top1_accuracy=0.5),
    ]


@given(LOGITS, st.data())
def test_every_image_is_in_one_bin_which_holds_its_confidence(logits: np.ndarray, data: st.DataObject) -> None:
    predictions = predict(logits, targets_for(logits, data))
    bins = reliability(predictions)
    assert sum(each.images for each in bins) == len(predictions)
    assert all(each.low < each.confidence <= each.high + 1e-12 and each.images > 0 for each in bins)
    assert [each.low for each in bins] == sorted({each.low for each in bins})
    right = sum(each.images * each.top1_accuracy for each in bins) / len(predictions)
    assert right == pytest.approx(sklearn.metrics.accuracy_score(predictions.targets, predictions.predicted))


@given(LOGITS, st.data())
def test_the_bins_give_the_calibration_error(logits: np.ndarray, data: st.DataObject) -> None:
    predictions = predict(logits / 20, targets_for(logits, data))
    gaps = (each.images * abs(each.top1_accuracy - each.confidence) for each in reliability(predictions))
    assert expected_calibration_error(predictions) == pytest.approx(sum(gaps) / len(predictions), abs=1e-12)


def test_the_error_expected_of_calibrated_probs_is_that_of_labels_sampled_from_them() -> None:
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(150, 3))
    probs = special.softmax(logits, axis=1)
    ids = [str(row) for row in range(150)]
    found = ece_under_calibration(predict(logits, np.zeros(150, int)), ids, num_resamples=2000, seed=0)
    sampled = []
    for _ in range(2000):  # labels by the whole of the probs, and the error by its definition
        targets = (rng.random((150, 1)) < probs.cumsum(axis=1)).argmax(axis=1)
        sampled.append(expected_calibration_error(predict(logits, targets)))
    assert found.mean() == pytest.approx(np.mean(sampled), abs=0.002)
    assert np.quantile(found, 0.95) == pytest.approx(np.quantile(sampled, 0.95), abs=0.004)


def test_an_image_that_stands_in_two_rows_is_right_in_both_or_in_neither() -> None:
    probs = np.array([[0.6, 0.4]] * 2)
    once = ece_under_calibration(from_probs([0], probs[:1]), ["a"], num_resamples=200, seed=0)
    twice = ece_under_calibration(from_probs([0, 0], probs), ["a", "a"], num_resamples=200, seed=0)
    apart = ece_under_calibration(from_probs([0, 0], probs), ["a", "b"], num_resamples=200, seed=0)
    assert twice.tolist() == once.tolist()
    assert set(once.round(6)) == {0.4, 0.6}
    assert set(apart.round(6)) == {0.1, 0.4, 0.6}


def test_without_rows_there_is_no_bin() -> None:
    nothing = predict(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
    assert reliability(nothing) == []
    assert apply_temperature(nothing.probs, 2.0).shape == (0, 3)
