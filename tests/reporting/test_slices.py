"""Slices against scipy's exact test, a planted bad slice, and how often noise alone raises an alarm."""

import numpy as np
import pytest
from scipy.stats import binomtest

from factories import samples_of
from tandem.evaluation.metrics import Predictions
from tandem.reporting import slices
from tandem.reporting.slices import Division, by_cluster, by_name, by_quarter, effective_groups, exact_interval, judge


def predictions_of(is_right):
    """Of two classes, all images of the first; sure of it to 0.9."""
    predicted = np.where(is_right, 0, 1)
    probs = np.where(is_right[:, None], [0.9, 0.1], [0.1, 0.9])
    return Predictions(np.zeros(len(is_right), dtype=np.int64), predicted, probs)


def singles(count):
    return np.arange(count).astype(str)


@pytest.mark.parametrize(("right", "total", "level"), [(0, 12, 0.95), (12, 12, 0.95), (7, 30, 0.998), (88, 90, 0.99)])
def test_the_interval_is_that_of_clopper_and_pearson(right, total, level):
    expected = binomtest(right, total).proportion_ci(level, method="exact")
    assert exact_interval(right / total, total, level=level) == pytest.approx((expected.low, expected.high))


def test_groups_count_by_the_worst_that_their_images_can_be_alike():
    assert effective_groups(singles(8)) == 8
    assert effective_groups(np.repeat(singles(4), 5)) == pytest.approx(4)
    assert effective_groups(np.array(["a"] * 9 + ["b"])) == pytest.approx(100 / 82)
    assert effective_groups(np.array([], dtype=str)) == 0


def test_a_planted_bad_slice_is_found_and_no_other():
    rng = np.random.default_rng(0)
    source = np.where(np.arange(400) < 60, "night", "day")
    is_right = rng.random(400) < np.where(source == "night", 0.55, 0.95)
    noise = [by_name(f"noise {number}", rng.choice(["a", "b", "c"], 400)) for number in range(6)]
    found = judge([*noise, by_name("source", source)], predictions_of(is_right), singles(400))
    assert [(each.kind, each.name) for each in found.worse] == [("source", "night")]
    assert "20 slices were looked at" in found.in_words
    assert "Clearly worse than test as a whole: source night." in found.in_words


def test_noise_alone_raises_an_alarm_in_fewer_runs_than_the_level_says():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(100):
        is_right = rng.random(240) < 0.8
        divisions = [
            Division(str(number), ("a", "b", "c", "d"), np.asarray(rng.integers(4, size=240))) for number in range(6)
        ]
        halves = [Division(f"half {number}", ("a", "b"), np.asarray(rng.integers(2, size=240))) for number in range(3)]
        alarms += bool(judge([*divisions, *halves], predictions_of(is_right), singles(240)).worse)
    assert alarms <= 5  # of 100


def test_noise_in_groups_raises_no_more_alarms():
    rng = np.random.default_rng(2)
    alarms = naive = 0
    for _ in range(60):
        groups = np.repeat(singles(80), 6)
        is_right = np.repeat(rng.random(80) < 0.8, 6)  # right or wrong together
        divisions = [
            Division(str(number), ("a", "b", "c", "d"), np.repeat(rng.integers(4, size=80), 6)) for number in range(5)
        ]
        alarms += bool(judge(divisions, predictions_of(is_right), groups).worse)
        naive += bool(judge(divisions, predictions_of(is_right), singles(480)).worse)
    assert alarms <= 3
    assert naive > 20  # what images taken for independent would say: the case is one that matters


def test_small_slices_are_counted_and_not_judged_nor_is_all_of_test():
    names = np.array(["tiny"] * 9 + ["large"] * 31)
    is_right = np.arange(40) >= 9
    found = judge(
        [by_name("source", names), by_name("class", np.full(40, "car"))], predictions_of(is_right), singles(40)
    )
    assert [each.name for each in found.slices] == ["large"]
    assert found.num_too_small == 1
    assert "1 slices of fewer than 10 groups are not judged" in found.in_words
    assert judge([], predictions_of(is_right), singles(40)).in_words.startswith("No slice of test has the 10 groups")


def test_mistakes_come_first_and_the_surest_of_them_before():
    is_right = np.array([True, False, True, False] * 6)
    predictions = predictions_of(is_right)
    predictions.probs[3] = [0.02, 0.98]
    half = Division("half", ("first", "second"), np.repeat([0, 1], 12))
    first = judge([half], predictions, singles(24)).slices[0]
    assert first.positions[:2] == (3, 1)
    assert (len(first), first.num_wrong, first.accuracy) == (12, 6, 0.5)


def test_quarters_are_named_by_their_ends_and_equal_values_stay_together():
    division = by_quarter("shorter side (px)", np.array([100, 100, 100, 100, 200, 300, 400, 500]))
    assert division.names == ("100 to 100", "200 to 300", "400 to 500")
    assert division.members.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert by_quarter("brightness", np.full(5, 0.25)).names == ("0.25 to 0.25",)
    assert by_quarter("brightness", np.empty(0)).names == ()


def test_clusters_are_those_that_were_planted_the_nearest_image_first():
    rng = np.random.default_rng(3)
    planted = np.arange(60) % 3
    features = np.eye(5)[planted] * 4 + rng.normal(0, 0.1, (60, 5))
    test = samples_of(planted.tolist(), ["test"] * 60).test
    labels = np.array(["car", "motorcycle", "truck"])[planted]
    division = by_cluster(features, test, labels, seed=0)
    assert sorted(name.split(" ", 1)[1] for name in division.names) == [
        f"(100% {name}, 100% drawn)" for name in ("car", "motorcycle", "truck")
    ]
    assert len(set(zip(planted.tolist(), division.members.tolist(), strict=True))) == 3
    again = by_cluster(features, test, labels, seed=0)
    assert np.array_equal(again.members, division.members)
    nearest = judge([division], predictions_of(np.ones(60, dtype=bool)), singles(60)).slices[0].positions[0]
    inside = division.members == division.members[nearest]
    scaled = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = np.linalg.norm(scaled - scaled[inside].mean(axis=0), axis=1)
    assert distances[nearest] == pytest.approx(distances[inside].min())


def test_features_that_are_all_alike_are_one_cluster_and_no_slice():
    test = samples_of([0] * 60, ["test"] * 60).test
    division = by_cluster(np.ones((60, 4)), test, np.full(60, "car"), seed=0)
    assert division.names == ("1 (100% car, 100% drawn)",)
    assert judge([division], predictions_of(np.ones(60, dtype=bool)), singles(60)).slices == ()


def test_a_test_split_too_small_for_two_clusters_has_none():
    test = samples_of([0] * 39, ["test"] * 39).test
    assert by_cluster(np.ones((39, 2)), test, np.full(39, "car"), seed=0).names == ()


def test_all_kinds_of_slices_of_a_split_are_judged():
    targets = np.arange(80) % 2
    test = samples_of(targets.tolist(), ["test"] * 80, class_names=("car", "truck")).test
    predictions = Predictions(targets, targets, np.eye(2)[targets])
    found = slices.find_slices(
        predictions,
        test,
        class_names=("car", "truck"),
        measures={"brightness": np.linspace(0, 1, 80)},
        features=np.eye(4)[np.arange(80) % 4],
        seed=0,
    )
    assert {each.kind for each in found.slices} == {"class", "brightness", "cluster"}
    assert found.accuracy == 1
    assert not found.worse
