"""Resamples against rows repeated, intervals against simulated truth, p values against counting by hand."""

import math
import tracemalloc
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.evaluation import bootstrap
from tandem.evaluation.bootstrap import (
    Difference,
    McNemar,
    mcnemar,
    paired_difference,
    resample_weights,
    score_intervals,
)
from tandem.evaluation.metrics import METRICS, WITH_INTERVALS, Predictions, log_loss, predict

NUM_CLASSES = 4


def generated(seed: int, *, num_rows: int, num_groups: int) -> tuple[Predictions, np.ndarray]:
    """Predictions that are right more often than not, and groups."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(NUM_CLASSES, size=num_rows)
    logits = rng.normal(size=(num_rows, NUM_CLASSES)) + 1.5 * np.eye(NUM_CLASSES)[targets]
    return predict(logits, targets), np.array([f"group {number}" for number in rng.integers(num_groups, size=num_rows)])


def judged(is_right: np.ndarray) -> Predictions:
    """Of rows of class 0, of two."""
    probs = np.where(is_right[:, None], [[0.9, 0.1]], [[0.2, 0.8]])
    return Predictions(np.zeros(len(is_right), int), probs.argmax(axis=1), probs)


def rows_of(predictions: Predictions, rows: np.ndarray) -> Predictions:
    return Predictions(predictions.targets[rows], predictions.predicted[rows], predictions.probs[rows])


def names(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.str_)


# --- resamples


def test_every_resample_has_as_many_groups_as_there_are_and_takes_them_whole() -> None:
    groups = np.array([*"abcabca", "d"])
    weights = resample_weights(groups, num_resamples=200, seed=0)
    assert weights.shape == (200, 8)
    assert (weights[:, [0, 1, 2, 7]].sum(axis=1) == 4).all()
    for first, second in [(0, 3), (0, 6), (1, 4), (2, 5)]:
        assert (weights[:, first] == weights[:, second]).all()
    assert (weights[:, 0] != weights[:, 1]).any()


def test_counts_of_groups_are_multinomial() -> None:
    weights = resample_weights(np.array([*"abcde"]), num_resamples=40_000, seed=0)
    assert weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.02)
    # variance G * 1/G * (1 - 1/G), covariance -G * 1/G * 1/G
    assert np.cov(weights.T) == pytest.approx(np.eye(5) - 1 / 5, abs=0.03)


@given(st.permutations(range(12)))
def test_the_weight_of_a_group_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    groups = np.array([*"aabbbcddefgh"])
    plain = resample_weights(groups, num_resamples=20, seed=3)
    assert (resample_weights(groups[order], num_resamples=20, seed=3) == plain[:, order]).all()


def test_the_seed_decides_the_resamples_and_blocks_of_them_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.array([*"aabbbcddefgh"])
    plain = resample_weights(groups, num_resamples=50, seed=1)
    assert (resample_weights(groups, num_resamples=50, seed=1) == plain).all()
    assert (resample_weights(groups, num_resamples=50, seed=2) != plain).any()
    assert (resample_weights(groups, num_resamples=20, seed=1) == plain[:20]).all()
    monkeypatch.setattr(bootstrap, "_CELLS", 84)  # seven resamples of twelve rows
    assert (resample_weights(groups, num_resamples=50, seed=1) == plain).all()


# --- intervals


def test_scores_stand_between_their_bounds_and_are_those_of_all_rows() -> None:
    predictions, groups = generated(0, num_rows=400, num_groups=90)
    found = score_intervals(predictions, groups, num_resamples=2000, seed=0)
    assert {name: interval.value for name, interval in found.items()} == {
        name: METRICS[name](predictions) for name in WITH_INTERVALS
    }
    for name in ("top1_accuracy", "macro_f1", "log_loss"):
        assert 0 <= found[name].low < found[name].value < found[name].high
    assert 0 <= found["ece"].low < found["ece"].high <= 1


def test_the_interval_holds_the_fraction_of_resamples_that_the_level_says() -> None:
    predictions, groups = generated(1, num_rows=100, num_groups=30)
    found = score_intervals(predictions, groups, num_resamples=500, seed=4, level=0.8)
    weights = resample_weights(groups, num_resamples=500, seed=4)
    repeated = [rows_of(predictions, np.repeat(np.arange(100), counts)) for counts in weights]
    for name, interval in found.items():
        low, high = np.quantile([METRICS[name](each) for each in repeated], [0.1, 0.9])
        assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_for_images_on_their_own_the_interval_of_accuracy_is_about_that_of_the_normal_distribution() -> None:
    predictions = judged(np.arange(2000) % 5 != 0)
    found = score_intervals(predictions, names(np.arange(2000)), num_resamples=2000, seed=0)
    half = 1.96 * math.sqrt(0.8 * 0.2 / 2000)
    assert astuple(found["top1_accuracy"]) == pytest.approx((0.8, 0.8 - half, 0.8 + half), abs=0.002)


def test_intervals_over_groups_hold_the_truth_as_often_as_they_say_and_those_over_images_do_not() -> None:
    rng, num_sets, num_held = np.random.default_rng(0), 300, {"groups": 0, "images": 0}
    for seed in range(num_sets):
        group_of = np.repeat(np.arange(120), rng.integers(1, 7, size=120))
        predictions = judged((rng.random(120) < 0.8)[group_of])  # a group is right or wrong as a whole
        for kind, numbers in {"groups": group_of, "images": np.arange(len(group_of))}.items():
            found = score_intervals(predictions, names(numbers), num_resamples=500, seed=seed)["top1_accuracy"]
            num_held[kind] += found.low <= 0.8 <= found.high
    assert 0.91 <= num_held["groups"] / num_sets <= 0.98
    assert num_held["images"] / num_sets < 0.8


def test_neither_the_order_of_rows_nor_a_second_run_changes_intervals() -> None:
    predictions, groups = generated(2, num_rows=200, num_groups=50)
    other = Predictions(predictions.targets, predictions.predicted, predictions.probs[:, [0, 1, 3, 2]])
    order = np.random.default_rng(0).permutation(200)
    shuffled, shuffled_groups = rows_of(predictions, order), groups[order]
    found = score_intervals(predictions, groups, num_resamples=300, seed=0)
    assert score_intervals(predictions, groups, num_resamples=300, seed=0) == found
    assert score_intervals(predictions, groups, num_resamples=300, seed=1) != found
    for name, interval in score_intervals(shuffled, shuffled_groups, num_resamples=300, seed=0).items():
        assert astuple(interval) == pytest.approx(astuple(found[name]), rel=1e-9)
    differences = paired_difference(predictions, other, groups, num_resamples=300, seed=0)
    again = paired_difference(shuffled, rows_of(other, order), shuffled_groups, num_resamples=300, seed=0)
    for name, difference in again.items():
        assert astuple(difference) == pytest.approx(astuple(differences[name]), rel=1e-9)


@pytest.mark.parametrize("num_rows", [1, 7])
def test_the_interval_of_a_single_group_is_a_point(num_rows: int) -> None:
    predictions, groups = generated(3, num_rows=num_rows, num_groups=1)
    for interval in score_intervals(predictions, groups, num_resamples=50, seed=0).values():
        assert interval.low == interval.high == pytest.approx(interval.value)


def test_thousands_of_images_do_not_need_all_resamples_in_memory_at_once() -> None:
    predictions, _ = generated(4, num_rows=20_000, num_groups=1)
    groups = names(np.arange(20_000))
    tracemalloc.start()
    score_intervals(predictions, groups, num_resamples=500, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * 20_000 * 8  # bytes of the weights alone; four times the resamples need no more


# --- differences


def test_a_planted_difference_is_found_and_none_where_there_is_none() -> None:
    rng = np.random.default_rng(5)
    group_of = np.repeat(np.arange(150), 3)
    better, worse, same = (judged((rng.random(150) < odds)[group_of]) for odds in (0.9, 0.7, 0.9))
    found = paired_difference(better, worse, names(group_of), num_resamples=2000, seed=0)
    assert list(found) == ["top1_accuracy", "log_loss"]
    assert found["top1_accuracy"].value == pytest.approx(better.is_right.mean() - worse.is_right.mean())
    assert found["top1_accuracy"].low > 0
    assert found["log_loss"].high < 0
    assert found["top1_accuracy"].p_value < 0.01
    assert found["log_loss"].p_value < 0.01
    found = paired_difference(better, same, names(group_of), num_resamples=2000, seed=0)
    assert found["top1_accuracy"].low < 0 < found["top1_accuracy"].high
    assert min(found["top1_accuracy"].p_value, found["log_loss"].p_value) > 0.1


def test_p_values_of_models_that_are_alike_are_below_a_twentieth_in_about_a_twentieth_of_cases() -> None:
    rng, num_sets, group_of, num_below = np.random.default_rng(0), 300, np.repeat(np.arange(120), 3), 0
    for seed in range(num_sets):
        first, second = (judged((rng.random(120) < 0.8)[group_of]) for _ in range(2))
        found = paired_difference(first, second, names(group_of), num_resamples=500, seed=seed)
        num_below += found["top1_accuracy"].p_value < 0.05
    assert 0.02 <= num_below / num_sets <= 0.09


def test_differences_are_of_the_same_resamples_for_both_and_turn_round_with_the_models() -> None:
    (predictions, groups), (model, _) = (generated(seed, num_rows=200, num_groups=40) for seed in (6, 7))
    other = Predictions(predictions.targets, model.predicted, model.probs)
    found = paired_difference(predictions, other, groups, num_resamples=300, seed=8)
    weights = resample_weights(groups, num_resamples=300, seed=8).astype(float)
    apart = log_loss.weighted(predictions, weights) - log_loss.weighted(other, weights)
    low, high = np.quantile(apart, [0.025, 0.975])
    assert (found["log_loss"].low, found["log_loss"].high) == (pytest.approx(low), pytest.approx(high))
    turned = paired_difference(other, predictions, groups, num_resamples=300, seed=8)
    for name, difference in found.items():
        expected = (-difference.value, -difference.high, -difference.low, difference.p_value)
        assert astuple(turned[name]) == pytest.approx(expected)


def test_a_model_does_not_differ_from_itself() -> None:
    predictions, groups = generated(8, num_rows=60, num_groups=20)
    found = paired_difference(predictions, predictions, groups, num_resamples=100, seed=0)
    assert list(found.values()) == [Difference(0.0, 0.0, 0.0, 1.0)] * 2


def test_no_p_value_is_below_what_the_number_of_resamples_can_tell() -> None:
    right, wrong = judged(np.ones(50, dtype=bool)), judged(np.zeros(50, dtype=bool))
    found = paired_difference(right, wrong, names(np.arange(50)), num_resamples=99, seed=0)
    assert found["top1_accuracy"] == Difference(1.0, 1.0, 1.0, 0.02)


def test_without_rows_there_is_no_number() -> None:
    nothing, groups = predict(np.zeros((0, NUM_CLASSES)), np.zeros(0, dtype=np.int64)), np.zeros(0, dtype=np.str_)
    assert resample_weights(groups, num_resamples=3, seed=0).shape == (3, 0)
    found = score_intervals(nothing, groups, num_resamples=100, seed=0)
    assert tuple(found) == WITH_INTERVALS
    differences = paired_difference(nothing, nothing, groups, num_resamples=100, seed=0)
    for each in [*found.values(), *differences.values()]:
        assert all(math.isnan(number) for number in astuple(each))


# --- McNemar's test


def mcnemar_of(both: int, first: int, second: int, neither: int) -> McNemar:
    """Of rows of class 0: how many both, only one, and neither model calls so."""
    counts = [both, first, second, neither]
    targets, predicted, other = (np.repeat(classes, counts) for classes in ([0] * 4, [0, 0, 1, 1], [0, 1, 0, 2]))
    return mcnemar(Predictions(targets, predicted, np.eye(3)[predicted]), Predictions(targets, other, np.eye(3)[other]))


@given(st.integers(0, 5), st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_mcnemar_is_the_sum_of_both_tails_of_a_fair_coin(both: int, first: int, second: int, neither: int) -> None:
    found = mcnemar_of(both, first, second, neither)
    assert (found.only_first_right, found.only_second_right) == (first, second)
    tail = sum(math.comb(first + second, k) for k in range(min(first, second) + 1)) / 2 ** (first + second)
    assert found.p_value == pytest.approx(min(1, 2 * tail))


@pytest.mark.parametrize(
    ("first", "second", "p_value"), [(10, 2, 0.0386), (2, 10, 0.0386), (5, 5, 1), (0, 0, 1), (0, 6, 1 / 32)]
)
def test_mcnemar_of_known_counts(first: int, second: int, p_value: float) -> None:
    assert mcnemar_of(40, first, second, 3).p_value == pytest.approx(p_value, abs=5e-5)
