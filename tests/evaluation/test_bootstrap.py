"""Weights against rows repeated, intervals against simulated truth, p values against counting by hand."""

import math
import tracemalloc
from dataclasses import astuple

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tandem.evaluation import bootstrap, calibration, metrics

NUM_CLASSES = 4
CLASSES = range(NUM_CLASSES)
SCORES = ["top1_accuracy", "macro_f1", "log_loss", "ece"]
# target, weight and seed of the logits of each row; a class may have no row, no prediction, or neither
ROWS = st.lists(st.tuples(st.integers(0, NUM_CLASSES - 1), st.integers(0, 5)), min_size=1, max_size=30).filter(
    lambda rows: any(weight for _, weight in rows)
)


def drawn(seed: int, *, num_rows: int, num_groups: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Target, probs that are right more often than not, and groups."""
    rng = np.random.default_rng(seed)
    target = rng.integers(NUM_CLASSES, size=num_rows)
    logits = rng.normal(size=(num_rows, NUM_CLASSES)) + 1.5 * np.eye(NUM_CLASSES)[target]
    return target, metrics.softmax(logits), [f"group {number}" for number in rng.integers(num_groups, size=num_rows)]


def probs_of(right: np.ndarray) -> np.ndarray:
    """(n, 2) probs for rows whose target is 0."""
    return np.where(right[:, None], [[0.9, 0.1]], [[0.2, 0.8]])


def statistics(weights: np.ndarray, target: np.ndarray, probs: np.ndarray) -> list[np.ndarray]:
    predicted = probs.argmax(axis=1)
    return [
        bootstrap.top1_accuracies(weights, target=target, predicted=predicted),
        bootstrap.macro_f1s(weights, target=target, predicted=predicted, num_classes=NUM_CLASSES),
        bootstrap.log_losses(weights, target=target, probs=probs),
        bootstrap.calibration_errors(weights, target=target, probs=probs),
    ]


def references(target: np.ndarray, probs: np.ndarray) -> list[float]:
    predicted = probs.argmax(axis=1)
    return [
        sklearn.metrics.accuracy_score(target, predicted),
        sklearn.metrics.f1_score(target, predicted, labels=CLASSES, average="macro", zero_division=0),
        sklearn.metrics.log_loss(target, probs, labels=CLASSES),
        calibration.expected_calibration_error(target=target, probs=probs),
    ]


# --- resamples


def test_every_resample_draws_as_many_groups_as_there_are_and_takes_them_whole() -> None:
    groups = [*"abcabca", "d"]
    weights = bootstrap.resample_weights(groups, num_resamples=200, seed=0)
    assert weights.shape == (200, 8)
    assert (weights[:, [0, 1, 2, 7]].sum(axis=1) == 4).all()
    for first, second in [(0, 3), (0, 6), (1, 4), (2, 5)]:
        assert (weights[:, first] == weights[:, second]).all()
    assert (weights[:, 0] != weights[:, 1]).any()


def test_counts_of_groups_are_multinomial() -> None:
    weights = bootstrap.resample_weights(list("abcde"), num_resamples=40_000, seed=0)
    assert weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.02)
    # variance G * 1/G * (1 - 1/G), covariance -G * 1/G * 1/G
    assert np.cov(weights.T) == pytest.approx(np.eye(5) - 1 / 5, abs=0.03)


@given(st.permutations(range(12)))
def test_the_weight_of_a_group_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    groups = list("aabbbcddefgh")
    plain = bootstrap.resample_weights(groups, num_resamples=20, seed=3)
    assert (
        bootstrap.resample_weights([groups[row] for row in order], num_resamples=20, seed=3) == plain[:, order]
    ).all()


def test_the_seed_decides_the_resamples_and_blocks_of_them_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = list("aabbbcddefgh")
    plain = bootstrap.resample_weights(groups, num_resamples=50, seed=1)
    assert (bootstrap.resample_weights(groups, num_resamples=50, seed=1) == plain).all()
    assert (bootstrap.resample_weights(groups, num_resamples=50, seed=2) != plain).any()
    assert (bootstrap.resample_weights(groups, num_resamples=20, seed=1) == plain[:20]).all()
    monkeypatch.setattr(bootstrap, "_CELLS", 84)  # seven resamples of twelve rows
    assert (bootstrap.resample_weights(groups, num_resamples=50, seed=1) == plain).all()


# --- statistics under weights


@given(ROWS, st.integers(0, 2**32))
def test_a_weight_counts_a_row_as_often_as_repeating_it(rows: list[tuple[int, int]], seed: int) -> None:
    target, weights = np.array(rows).T
    probs = metrics.softmax(np.random.default_rng(seed).normal(size=(len(rows), NUM_CLASSES)) * 5)
    found = statistics(np.stack([weights, np.ones_like(weights)]).astype(np.float64), target, probs)
    repeated = references(np.repeat(target, weights), np.repeat(probs, weights, axis=0))
    assert [values[0] for values in found] == pytest.approx(repeated)
    assert [values[1] for values in found] == pytest.approx(references(target, probs))


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(NUM_CLASSES)), elements=st.floats(-200, 200)),
    st.data(),
)
def test_under_weights_of_one_each_is_the_number_of_the_metrics_for_probs_of_0_and_1_too(
    logits: np.ndarray, data: st.DataObject
) -> None:
    target = np.array(data.draw(st.lists(st.sampled_from(CLASSES), min_size=len(logits), max_size=len(logits))))
    probs = metrics.softmax(logits)
    predicted = probs.argmax(axis=1)
    assert [values.item() for values in statistics(np.ones((1, len(target))), target, probs)] == pytest.approx(
        [
            metrics.top1_accuracy(target=target, predicted=predicted),
            metrics.macro_f1(target=target, predicted=predicted, num_classes=NUM_CLASSES),
            metrics.log_loss(target=target, probs=probs),
            calibration.expected_calibration_error(target=target, probs=probs),
        ],
        abs=1e-12,
    )


# --- intervals


def test_scores_stand_between_their_bounds_and_are_those_of_all_rows() -> None:
    target, probs, groups = drawn(0, num_rows=400, num_groups=90)
    found = bootstrap.score_intervals(target=target, probs=probs, groups=groups)
    assert list(found) == SCORES
    assert [interval.value for interval in found.values()] == pytest.approx(references(target, probs))
    for name in SCORES[:3]:
        assert 0 <= found[name].low < found[name].value < found[name].high
    assert 0 <= found["ece"].low < found["ece"].high <= 1


def test_the_interval_is_between_the_shares_of_resamples_that_the_level_says() -> None:
    target, probs, groups = drawn(1, num_rows=100, num_groups=30)
    found = bootstrap.score_intervals(target=target, probs=probs, groups=groups, num_resamples=500, seed=4, level=0.8)
    weights = bootstrap.resample_weights(groups, num_resamples=500, seed=4)
    repeated = [references(np.repeat(target, own), np.repeat(probs, own, axis=0)) for own in weights]
    low, high = np.quantile(repeated, [0.1, 0.9], axis=0)
    assert [interval.low for interval in found.values()] == pytest.approx(low)
    assert [interval.high for interval in found.values()] == pytest.approx(high)


def test_for_images_on_their_own_the_interval_of_accuracy_is_about_that_of_the_normal_distribution() -> None:
    right = np.arange(2000) % 5 != 0
    found = bootstrap.score_intervals(
        target=np.zeros(2000, int), probs=probs_of(right), groups=[*map(str, range(2000))]
    )
    half = 1.96 * math.sqrt(0.8 * 0.2 / 2000)
    assert astuple(found["top1_accuracy"]) == pytest.approx((0.8, 0.8 - half, 0.8 + half), abs=0.002)


def test_intervals_over_groups_hold_the_truth_as_often_as_they_say_and_those_over_images_do_not() -> None:
    rng, num_sets, held = np.random.default_rng(0), 300, {"groups": 0, "images": 0}
    for seed in range(num_sets):
        members = np.repeat(np.arange(120), rng.integers(1, 7, size=120))
        probs = probs_of((rng.random(120) < 0.8)[members])  # a group is right or wrong as a whole
        for kind, names in {"groups": members, "images": np.arange(len(members))}.items():
            found = bootstrap.score_intervals(
                target=np.zeros(len(members), int), probs=probs, groups=[*map(str, names)], num_resamples=500, seed=seed
            )["top1_accuracy"]
            held[kind] += found.low <= 0.8 <= found.high
    assert 0.91 <= held["groups"] / num_sets <= 0.98
    assert held["images"] / num_sets < 0.8


def test_neither_the_order_of_rows_nor_a_second_run_changes_intervals() -> None:
    target, probs, groups = drawn(2, num_rows=200, num_groups=50)
    other = probs[:, [0, 1, 3, 2]]
    order = np.random.default_rng(0).permutation(200)
    shuffled = {"target": target[order], "groups": [groups[row] for row in order], "num_draws": 300}
    plain = {"target": target, "groups": groups, "num_draws": 300}
    found = bootstrap.score_intervals(probs=probs, **plain)
    assert bootstrap.score_intervals(probs=probs, **plain) == found
    assert bootstrap.score_intervals(probs=probs, **plain, seed=1) != found
    for name, interval in bootstrap.score_intervals(probs=probs[order], **shuffled).items():
        assert astuple(interval) == pytest.approx(astuple(found[name]), rel=1e-9)
    differences = bootstrap.paired_difference(probs=probs, other_probs=other, **plain)
    again = bootstrap.paired_difference(probs=probs[order], other_probs=other[order], **shuffled)
    for name, difference in again.items():
        assert astuple(difference) == pytest.approx(astuple(differences[name]), rel=1e-9)


@pytest.mark.parametrize("num_rows", [1, 7])
def test_the_interval_of_a_single_group_is_a_point(num_rows: int) -> None:
    target, probs, groups = drawn(3, num_rows=num_rows, num_groups=1)
    for interval in bootstrap.score_intervals(target=target, probs=probs, groups=groups, num_resamples=50).values():
        assert interval.low == interval.high == pytest.approx(interval.value)


def test_thousands_of_images_do_not_need_all_resamples_in_memory_at_once() -> None:
    target, probs, _ = drawn(4, num_rows=20_000, num_groups=1)
    groups = [*map(str, range(20_000))]
    tracemalloc.start()
    bootstrap.score_intervals(target=target, probs=probs, groups=groups, num_resamples=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * 20_000 * 8  # bytes of the weights alone; four times the resamples need no more


# --- differences


def test_a_planted_difference_is_told_from_none() -> None:
    rng = np.random.default_rng(5)
    members = np.repeat(np.arange(150), 3)
    better, worse, same = ((rng.random(150) < share)[members] for share in (0.9, 0.7, 0.9))
    fixed = {"target": np.zeros(450, int), "probs": probs_of(better), "groups": [*map(str, members)]}
    found = bootstrap.paired_difference(other_probs=probs_of(worse), **fixed)
    assert list(found) == ["top1_accuracy", "log_loss"]
    assert found["top1_accuracy"].value == pytest.approx(better.mean() - worse.mean())
    assert found["top1_accuracy"].low > 0
    assert found["log_loss"].high < 0
    assert found["top1_accuracy"].p_value < 0.01
    assert found["log_loss"].p_value < 0.01
    found = bootstrap.paired_difference(other_probs=probs_of(same), **fixed)
    assert found["top1_accuracy"].low < 0 < found["top1_accuracy"].high
    assert min(found["top1_accuracy"].p_value, found["log_loss"].p_value) > 0.1


def test_p_values_of_models_that_are_alike_are_below_a_twentieth_in_about_a_twentieth_of_cases() -> None:
    rng, num_sets, members, found = np.random.default_rng(0), 300, np.repeat(np.arange(120), 3), 0
    for seed in range(num_sets):
        first, second = (probs_of((rng.random(120) < 0.8)[members]) for _ in range(2))
        difference = bootstrap.paired_difference(
            target=np.zeros(360, int),
            probs=first,
            other_probs=second,
            groups=[*map(str, members)],
            num_resamples=500,
            seed=seed,
        )
        found += difference["top1_accuracy"].p_value < 0.05
    assert 0.02 <= found / num_sets <= 0.09


def test_differences_are_of_the_same_resamples_for_both_and_turn_round_with_the_models() -> None:
    target, probs, groups = drawn(6, num_rows=200, num_groups=40)
    other = drawn(7, num_rows=200, num_groups=40)[1]
    found = bootstrap.paired_difference(
        target=target, probs=probs, other_probs=other, groups=groups, num_resamples=300, seed=8
    )
    weights = bootstrap.resample_weights(groups, num_resamples=300, seed=8).astype(float)
    apart = bootstrap.log_losses(weights, target=target, probs=probs) - bootstrap.log_losses(
        weights, target=target, probs=other
    )
    low, high = np.quantile(apart, [0.025, 0.975])
    assert (found["log_loss"].low, found["log_loss"].high) == (pytest.approx(low), pytest.approx(high))
    turned = bootstrap.paired_difference(
        target=target, probs=other, other_probs=probs, groups=groups, num_resamples=300, seed=8
    )
    for name, difference in found.items():
        expected = (-difference.value, -difference.high, -difference.low, difference.p_value)
        assert astuple(turned[name]) == pytest.approx(expected)


def test_a_model_does_not_differ_from_itself() -> None:
    target, probs, groups = drawn(8, num_rows=60, num_groups=20)
    found = bootstrap.paired_difference(target=target, probs=probs, other_probs=probs, groups=groups, num_resamples=100)
    assert list(found.values()) == [bootstrap.Difference(0.0, 0.0, 0.0, 1.0)] * 2


def test_no_p_value_is_below_what_the_number_of_resamples_can_tell() -> None:
    right = np.ones(50, dtype=bool)
    found = bootstrap.paired_difference(
        target=np.zeros(50, int),
        probs=probs_of(right),
        other_probs=probs_of(~right),
        groups=[*map(str, range(50))],
        num_resamples=99,
    )
    assert found["top1_accuracy"] == bootstrap.Difference(1.0, 1.0, 1.0, 0.02)


def test_without_rows_there_is_no_number() -> None:
    target, probs = np.zeros(0, dtype=np.int64), np.zeros((0, NUM_CLASSES))
    assert bootstrap.resample_weights([], num_resamples=3, seed=0).shape == (3, 0)
    found = bootstrap.score_intervals(target=target, probs=probs, groups=[])
    assert list(found) == SCORES
    differences = bootstrap.paired_difference(target=target, probs=probs, other_probs=probs, groups=[])
    for own in [*found.values(), *differences.values()]:
        assert all(math.isnan(number) for number in astuple(own))


# --- McNemar's test


def judged(both: int, first: int, second: int, neither: int) -> bootstrap.McNemar:
    """Of rows of class 0: how many both, only one, and neither model calls so."""
    predicted = np.repeat([0, 0, 1, 1], [both, first, second, neither])
    other = np.repeat([0, 1, 0, 2], [both, first, second, neither])
    return bootstrap.mcnemar(target=np.zeros(len(predicted), int), predicted=predicted, other_predicted=other)


@given(st.integers(0, 5), st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_mcnemar_is_the_sum_of_both_tails_of_a_fair_coin(both: int, first: int, second: int, neither: int) -> None:
    found = judged(both, first, second, neither)
    assert (found.only_first_right, found.only_second_right) == (first, second)
    tail = sum(math.comb(first + second, k) for k in range(min(first, second) + 1)) / 2 ** (first + second)
    assert found.p_value == pytest.approx(min(1, 2 * tail))


@pytest.mark.parametrize(
    ("first", "second", "p_value"), [(10, 2, 0.0386), (2, 10, 0.0386), (5, 5, 1), (0, 0, 1), (0, 6, 1 / 32)]
)
def test_mcnemar_of_known_counts(first: int, second: int, p_value: float) -> None:
    assert judged(40, first, second, 3).p_value == pytest.approx(p_value, abs=5e-5)
