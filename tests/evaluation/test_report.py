"""Scores of a split against scikit-learn, and of nothing but that split."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tandem.evaluation import bootstrap, calibration, selective
from tandem.evaluation import report as evaluation
from tandem.evaluation import scores as scoring
from tandem.tables.samples import Sample, Samples

CLASSES = ("car", "motorcycle", "truck", "bus")
SETTINGS = evaluation.Settings(draws=100, max_error=0.8, seed=0)
SOURCES = ("exports", "snapshots")


def drawn(seed: int, *, num_classes: int = 4) -> tuple[np.ndarray, Samples]:
    """Logits and samples of the first `num_classes` classes, some of them left out of every split."""
    rng = np.random.default_rng(seed)
    samples = tuple(
        Sample(f"{row:03}", CLASSES[rng.integers(num_classes)], SOURCES[rng.integers(2)], f"{row:03}", split)
        for row, split in enumerate(rng.choice(["train", "val", "test", ""], size=60).tolist())
    )
    return rng.normal(size=(60, len(CLASSES))).astype(np.float32) * 3, Samples.of(CLASSES, samples)


def of_split(logits: np.ndarray, samples: Samples, split: str) -> tuple[list[int], np.ndarray]:
    rows = [row for row, sample in enumerate(samples.samples) if sample.split == split]
    return [CLASSES.index(samples.samples[row].label) for row in rows], logits[rows]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(["train", "val", "test"]), st.integers(1, 4))
def test_the_scores_are_those_of_scikit_learn_on_the_rows_of_the_split(seed: int, split: str, num_classes: int) -> None:
    logits, samples = drawn(seed, num_classes=num_classes)
    target, own = of_split(logits, samples, split)
    predicted, probs = own.argmax(1), special.softmax(own.astype(np.float64), axis=1)
    assert scoring.score(logits, samples, split=split) == pytest.approx(
        {
            "top1_accuracy": sklearn.metrics.accuracy_score(target, predicted),
            "macro_f1": sklearn.metrics.f1_score(target, predicted, labels=range(4), average="macro", zero_division=0),
            "log_loss": sklearn.metrics.log_loss(target, probs, labels=range(4)),
            "ece": calibration.expected_calibration_error(target=np.array(target), probs=probs),
            "brier_score": ((probs - np.eye(4)[target]) ** 2).sum() / len(target),
        }
    )


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_the_numbers_of_each_class_are_those_of_scikit_learn(seed: int, num_classes: int) -> None:
    logits, samples = drawn(seed, num_classes=num_classes)
    target, own = of_split(logits, samples, "test")
    expected = sklearn.metrics.precision_recall_fscore_support(target, own.argmax(1), labels=range(4), zero_division=0)
    found = evaluation.by_class(logits, samples, split="test")
    assert list(found) == list(CLASSES)
    for name, *values in zip(CLASSES, *expected, strict=True):
        assert list(found[name].values()) == pytest.approx(values)
        assert list(found[name]) == ["precision", "recall", "f1", "images"]


def test_sources_are_scored_apart_and_add_up_to_the_whole() -> None:
    logits, samples = drawn(0)
    found = evaluation.by_source(logits, samples, split="test")
    for source in SOURCES:
        members = [
            (CLASSES.index(sample.label), row)
            for row, sample in enumerate(samples.samples)
            if (sample.split, sample.source) == ("test", source)
        ]
        right = [target == logits[row].argmax() for target, row in members]
        assert found[source] == {"top1_accuracy": pytest.approx(sum(right) / len(right)), "images": len(right)}
    right = sum(values["top1_accuracy"] * values["images"] for values in found.values())
    images = sum(values["images"] for values in found.values())
    whole = scoring.score(logits, samples, split="test")["top1_accuracy"]
    assert whole == pytest.approx(right / images)
    assert images == len(samples.test.rows)


def test_a_source_without_a_image_in_the_split_is_not_named() -> None:
    samples = Samples.of(
        CLASSES, (Sample("a", "car", "exports", "a", "test"), Sample("b", "car", "others", "b", "train"))
    )
    assert list(evaluation.by_source(np.eye(4)[:2], samples, split="test")) == ["exports"]


def test_sizes_are_scored_apart_by_the_shorter_side() -> None:
    logits, samples = drawn(0)
    sides = np.resize([40, 127, 128, 600], 60)
    found = evaluation.by_min_side(logits, samples, split="test", min_sides=sides)
    rows = samples.test.rows
    right = logits[rows].argmax(1) == samples.test.targets
    small, middle, large = sides[rows] < 128, sides[rows] == 128, sides[rows] == 600
    assert found == {
        "0-127": {"top1_accuracy": pytest.approx(right[small].mean()), "images": small.sum()},
        "128-255": {"top1_accuracy": pytest.approx(right[middle].mean()), "images": middle.sum()},
        "512-": {"top1_accuracy": pytest.approx(right[large].mean()), "images": large.sum()},
    }


def reported(
    logits: dict[str, np.ndarray], samples: Samples, *, selected: str, singles: list[str] | None = None
) -> dict[str, object]:
    return evaluation.report(
        logits,
        samples,
        selected=selected,
        singles=singles or [selected],
        split="test",
        min_sides=np.full(60, 100),
        settings=SETTINGS,
    )


def test_rows_that_are_in_neither_test_nor_validation_change_no_number() -> None:
    logits, samples = drawn(1)
    before = reported({"m": logits}, samples, selected="m")
    others = np.setdiff1d(np.arange(60), np.concatenate([samples.test.rows, samples.val.rows]))
    logits[others] = 99
    assert reported({"m": logits}, samples, selected="m") == before


def test_of_the_validation_rows_only_the_choice_of_the_best_single_and_of_the_threshold_is_made() -> None:
    logits, samples = drawn(1)
    before = reported({"m": logits}, samples, selected="m")
    logits[samples.val.rows] = logits[samples.val.rows[::-1]] / 2
    after = reported({"m": logits}, samples, selected="m")
    assert [key for key in before if before[key] != after[key]] == ["reject"]


def test_the_report_has_the_selected_model_in_full_and_the_scores_and_limits_of_all() -> None:
    (one, samples), (other, _) = drawn(0), drawn(1)
    report = reported({"one": one, "other": other}, samples, selected="other", singles=["one", "other"])
    target, probs = scoring.probs_of(other, samples, "test")
    limits = bootstrap.score_intervals(
        target=target, probs=probs, groups=samples.test.groups, num_resamples=100, seed=0
    )
    assert report["models"]["other"] == {
        **scoring.score(other, samples, split="test"),
        "interval": {name: {"low": limit.low, "high": limit.high} for name, limit in limits.items()},
    }
    chance = report["selected"].pop("ece_by_chance")
    assert 0 < chance["mean"] < chance["high"] < 1
    assert report["selected"] == {"model": "other", **report["models"]["other"]}
    assert report["classes"] == evaluation.by_class(other, samples, split="test")
    assert report["sources"] == evaluation.by_source(other, samples, split="test")
    assert report["images"] == report["groups"] == len(samples.test.rows)


def test_the_selected_model_is_held_against_the_single_one_that_is_best_on_validation() -> None:
    good, samples = drawn(0)
    targets = np.array([CLASSES.index(sample.label) for sample in samples.samples])
    good[samples.val.rows] += 5 * np.eye(4, dtype=np.float32)[targets[samples.val.rows]]
    bad, selected = drawn(1)[0], drawn(2)[0]
    report = reported({"bad": bad, "good": good, "both": selected}, samples, selected="both", singles=["bad", "good"])
    found = report["selected_minus_best_single"]
    assert found["single"] == "good"
    scores = [scoring.score(logits, samples, split="test") for logits in (selected, good)]
    for name in ("top1_accuracy", "log_loss"):
        assert found[name]["value"] == pytest.approx(scores[0][name] - scores[1][name])
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    right = [logits[samples.test.rows].argmax(1) == samples.test.targets for logits in (selected, good)]
    assert found["mcnemar"]["only_first_right"] == (right[0] & ~right[1]).sum()
    assert found["mcnemar"]["only_second_right"] == (right[1] & ~right[0]).sum()


def test_the_threshold_is_chosen_on_validation_and_told_on_test() -> None:
    logits, samples = drawn(3)
    found = evaluation.selective_scores(logits, samples, split="test", max_error=0.5)
    target, probs = scoring.probs_of(logits, samples, "val")
    threshold = selective.threshold_for(target=target, probs=probs, max_error=0.5)
    target, probs = scoring.probs_of(logits, samples, "test")
    kept = probs.max(axis=1) >= threshold
    assert found["threshold"] == threshold
    assert found["coverage"] == pytest.approx(kept.mean())


def test_the_tables_of_the_plots_are_those_of_test() -> None:
    logits, samples = drawn(0)
    rows = evaluation.reliability_table(logits, samples, split="test")
    assert sum(row["images"] for row in rows) == len(samples.test.rows)
    assert evaluation.risk_coverage_table(logits, samples, split="test")[-1]["coverage"] == 1


def test_predictions_name_the_class_with_the_highest_logit() -> None:
    samples = Samples.of(
        CLASSES,
        (
            Sample("a", "car", "exports", "a", "test"),
            Sample("b", "truck", "exports", "b", "train"),
            Sample("c", "truck", "exports", "c", "test"),
        ),
    )
    logits = np.array([[0, 1, 0, 0], [9, 0, 0, 0], [0, 0, 5, 4]], dtype=np.float32)
    assert evaluation.predictions(logits, samples, split="test") == [
        {"id": "a", "actual": "car", "predicted": "motorcycle"},
        {"id": "c", "actual": "truck", "predicted": "truck"},
    ]


def test_logits_that_differ_by_less_than_probs_can_tell_are_ranked_alike_everywhere() -> None:
    samples = Samples.of(("car", "truck"), (Sample("a", "truck", "exports", "a", "test"),))
    logits = np.array([[0, 1e-20]], dtype=np.float32)
    assert scoring.score(logits, samples, split="test")["top1_accuracy"] == 1
    assert evaluation.predictions(logits, samples, split="test")[0]["predicted"] == "truck"
