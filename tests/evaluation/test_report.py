"""The report on test against scikit-learn and the functions that it is made of; nothing but test is in it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import evaluate_settings
from tandem.evaluation.bootstrap import score_intervals
from tandem.evaluation.metrics import Predictions, predict
from tandem.evaluation.report import (
    by_class,
    by_min_side,
    by_source,
    confusion_table,
    model_folders,
    reliability_table,
    report,
    risk_coverage_table,
    save_tables,
    selective_scores,
    training_curves,
)
from tandem.evaluation.scores import predictions_on, score
from tandem.evaluation.selective import threshold_for
from tandem.files import read_csv, write_csv
from tandem.tables.samples import SPLITS, Sample, Samples

CLASSES = ("car", "motorcycle", "truck", "bus")
SOURCES = ("exports", "snapshots")
SETTINGS = evaluate_settings(max_error=0.8)


def generated(seed: int, *, num_classes: int = 4) -> tuple[np.ndarray, Samples]:
    """Logits and samples of the first `num_classes` classes, some of them in no split."""
    rng = np.random.default_rng(seed)
    samples = [
        Sample(f"{row:03}", CLASSES[rng.integers(num_classes)], SOURCES[rng.integers(2)], f"{row:03}", split)
        for row, split in enumerate(rng.choice([*SPLITS, ""], size=60).tolist())
    ]
    return rng.normal(size=(60, len(CLASSES))).astype(np.float32) * 3, Samples.of(CLASSES, samples)


def on_test(seed: int, *, num_classes: int = 4) -> Predictions:
    logits, samples = generated(seed, num_classes=num_classes)
    return predictions_on(samples.test, logits)


def reported(
    logits: dict[str, np.ndarray],
    samples: Samples,
    *,
    selected: str,
    singles: Sequence[str] = (),
    exported: np.ndarray | None = None,
) -> dict[str, Any]:
    return report(
        logits,
        samples,
        selected=selected,
        singles=singles or [selected],
        student=next(iter(logits)),
        exported=logits[selected][samples.test.rows] if exported is None else exported,
        min_sides=np.full(60, 100),
        settings=SETTINGS,
    )


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_the_numbers_of_each_class_are_those_of_scikit_learn(seed: int, num_classes: int) -> None:
    predictions = on_test(seed, num_classes=num_classes)
    expected = sklearn.metrics.precision_recall_fscore_support(
        predictions.targets, predictions.predicted, labels=range(4), zero_division=0
    )
    found = by_class(predictions, CLASSES)
    assert list(found) == list(CLASSES)
    for name, *values in zip(CLASSES, *expected, strict=True):
        assert list(found[name].values()) == pytest.approx(values)
        assert list(found[name]) == ["precision", "recall", "f1", "support"]


def test_sources_are_scored_apart_and_add_up_to_the_whole() -> None:
    logits, samples = generated(0)
    predictions = predictions_on(samples.test, logits)
    found = by_source(predictions, samples.test.sources)
    for source in SOURCES:
        rows = np.flatnonzero((samples.splits == "test") & (samples.sources == source))
        is_right = logits[rows].argmax(axis=1) == samples.targets[rows]
        assert found[source] == {"top1_accuracy": pytest.approx(is_right.mean()), "images": len(rows)}
    num_right = sum(values["top1_accuracy"] * values["images"] for values in found.values())
    assert num_right == pytest.approx(score(predictions)["top1_accuracy"] * len(predictions))
    assert sum(values["images"] for values in found.values()) == len(predictions)


def test_a_source_without_an_image_in_the_split_is_not_named() -> None:
    pair = [Sample("a", "car", "exports", "a", "test"), Sample("b", "car", "others", "b", "train")]
    samples = Samples.of(CLASSES, pair)
    assert list(by_source(predictions_on(samples.test, np.eye(4)[:2]), samples.test.sources)) == ["exports"]


def test_sizes_are_scored_apart_by_the_shorter_side() -> None:
    predictions = on_test(0)
    sides = np.resize([40, 127, 128, 600], len(predictions))
    small, middle, large = sides < 128, sides == 128, sides == 600
    is_right = predictions.is_right
    assert by_min_side(predictions, sides) == {
        "0-127": {"top1_accuracy": pytest.approx(is_right[small].mean()), "images": small.sum()},
        "128-255": {"top1_accuracy": pytest.approx(is_right[middle].mean()), "images": middle.sum()},
        "512-": {"top1_accuracy": pytest.approx(is_right[large].mean()), "images": large.sum()},
    }


def test_a_range_of_sizes_begins_at_its_first_pixel() -> None:
    predictions = on_test(0)
    sides = np.resize([1, 127, 128, 255, 256, 511, 512, 9999], len(predictions))
    counts = {name: values["images"] for name, values in by_min_side(predictions, sides).items()}
    ranges = {"0-127": (1, 127), "128-255": (128, 255), "256-511": (256, 511), "512-": (512, 9999)}
    assert counts == {name: int(np.isin(sides, inside).sum()) for name, inside in ranges.items()}


def test_the_exported_file_is_scored_beside_the_models() -> None:
    logits, samples = generated(2)
    found = reported({"m": logits}, samples, selected="m")
    assert found["exported"] == found["models"]["m"]
    others = reported({"m": logits}, samples, selected="m", exported=-logits[samples.test.rows])
    assert others["models"] == found["models"]
    assert others["exported"] == reported({"m": -logits}, samples, selected="m")["models"]["m"]


def test_images_that_are_in_neither_test_nor_validation_change_no_number() -> None:
    logits, samples = generated(1)
    before = reported({"m": logits}, samples, selected="m")
    logits[(samples.splits == "train") | (samples.splits == "")] = 99
    assert reported({"m": logits}, samples, selected="m") == before


def test_of_validation_only_the_choice_of_the_best_single_and_of_the_thresholds_is_made() -> None:
    logits, samples = generated(1)
    before = reported({"m": logits}, samples, selected="m")
    logits[samples.val.rows] = logits[samples.val.rows[::-1]] / 2
    after = reported({"m": logits}, samples, selected="m")
    assert [key for key in before if before[key] != after[key]] == ["selective", "prediction_sets"]


def test_the_report_has_the_selected_model_in_full_and_the_scores_and_intervals_of_all() -> None:
    (one, samples), (other, _) = generated(0), generated(1)
    found = reported({"one": one, "other": other}, samples, selected="other", singles=["one", "other"])
    test, predictions = samples.test, predictions_on(samples.test, other)
    intervals = score_intervals(predictions, test.groups, num_resamples=100, seed=0)
    assert found["models"]["other"] == {
        **score(predictions),
        "interval": {name: {"low": interval.low, "high": interval.high} for name, interval in intervals.items()},
    }
    expected_ece = found["selected"].pop("ece_expected_if_calibrated")
    assert 0 < expected_ece["mean"] < expected_ece["high"] < 1
    assert found["selected"] == {"model": "other", **found["models"]["other"]}
    assert found["classes"] == by_class(predictions, CLASSES)
    assert found["sources"] == by_source(predictions, test.sources)
    assert found["by_min_side"] == by_min_side(predictions, np.full(len(test), 100))
    assert found["images"] == found["groups"] == len(test)


def test_the_selected_model_is_compared_with_the_single_one_that_is_best_on_validation() -> None:
    good, samples = generated(0)
    good[samples.val.rows] += 5 * np.eye(4, dtype=np.float32)[samples.val.targets]
    bad = generated(1)[0]
    bad[samples.test.rows] += 5 * np.eye(4, dtype=np.float32)[samples.test.targets]
    models = {"bad": bad, "good": good, "both": generated(2)[0]}
    found = reported(models, samples, selected="both", singles=["bad", "good"])["selected_minus_best_single"]
    assert found["single"] == "good"
    both, best = (predictions_on(samples.test, models[name]) for name in ("both", "good"))
    for name in ("top1_accuracy", "log_loss"):
        assert found[name]["value"] == pytest.approx(score(both)[name] - score(best)[name])
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["mcnemar"]["only_first_right"] == (both.is_right & ~best.is_right).sum()
    assert found["mcnemar"]["only_second_right"] == (best.is_right & ~both.is_right).sum()


def test_the_seed_decides_every_interval_and_no_score() -> None:
    (one, samples), (other, _) = generated(0), generated(1)
    found = [
        report(
            {"one": one, "other": other},
            samples,
            selected="one",
            singles=["other"],
            student="other",
            exported=other[samples.test.rows],
            min_sides=np.full(60, 100),
            settings=evaluate_settings(seed=seed),
        )
        for seed in (0, 0, 1)
    ]
    first, again, another = (
        (
            each["models"]["one"]["interval"],
            each["exported"]["interval"],
            each["selected"]["ece_expected_if_calibrated"],
            each["selected_minus_best_single"]["log_loss"],
        )
        for each in found
    )
    assert first == again
    assert all(one != other for one, other in zip(first, another, strict=True))
    assert score(predictions_on(samples.test, one)).items() <= found[2]["models"]["one"].items()


def test_images_of_one_group_do_not_make_an_interval_any_surer() -> None:
    (one, samples), (other, _) = generated(0), generated(1)
    in_pairs = replace(samples, groups=np.array([f"{row // 2:02}" for row in range(60)]), splits=np.repeat("test", 60))
    alone = replace(in_pairs, groups=samples.groups)
    wider, narrower = (
        report(
            {"one": one.repeat(2, axis=0)[:60], "other": other.repeat(2, axis=0)[:60]},
            replace(each, targets=samples.targets.repeat(2)[:60]),  # the two of a group are alike
            selected="one",
            singles=["other"],
            student="other",
            exported=one.repeat(2, axis=0)[:60],
            min_sides=np.full(60, 100),
            settings=evaluate_settings(num_resamples=400),
        )
        for each in (in_pairs, alone)
    )
    for name in ("selected", "exported"):
        wide, narrow = (each[name]["interval"]["top1_accuracy"] for each in (wider, narrower))
        assert wide["high"] - wide["low"] > 1.2 * (narrow["high"] - narrow["low"])
    wide, narrow = (each["selected_minus_best_single"]["log_loss"] for each in (wider, narrower))
    assert wide["high"] - wide["low"] > 1.2 * (narrow["high"] - narrow["low"])


def test_the_threshold_is_chosen_on_validation_and_scored_on_test() -> None:
    logits, samples = generated(3)
    val, test = (predictions_on(split, logits) for split in (samples.val, samples.test))
    found = selective_scores(test, val=val, max_error=0.5)
    assert found["threshold"] == threshold_for(val, max_error=0.5)
    assert found["coverage"] == pytest.approx((test.confidence >= found["threshold"]).mean())


def test_the_tables_of_the_plots_hold_every_image() -> None:
    predictions = on_test(0)
    assert sum(row["images"] for row in reliability_table(predictions)) == len(predictions)
    assert risk_coverage_table(predictions)[-1]["coverage"] == 1


def test_each_table_has_a_file_of_its_name(tmp_path) -> None:
    predictions = on_test(0)
    save_tables(predictions, [str(row) for row in range(len(predictions))], CLASSES, tmp_path)
    assert {path.name: tuple(read_csv(path)[0]) for path in tmp_path.iterdir()} == {
        "confusion.csv": ("id", "actual", "predicted"),
        "reliability.csv": ("low", "high", "images", "confidence", "top1_accuracy"),
        "risk_coverage.csv": ("threshold", "coverage", "selective_risk"),
    }


def test_the_confusion_table_names_the_class_with_the_highest_logit() -> None:
    logits = np.array([[0, 1, 0, 0], [0, 0, 5, 4]], dtype=np.float32)
    assert confusion_table(predict(logits, np.array([0, 2])), ("a", "c"), CLASSES) == [
        {"id": "a", "actual": "car", "predicted": "motorcycle"},
        {"id": "c", "actual": "truck", "predicted": "truck"},
    ]


def test_curves_of_all_models_are_one_table_without_those_that_have_none(tmp_path) -> None:
    folders = model_folders({tmp_path / "train": ["resnet50"], tmp_path / "ensemble": ["mean", "logit"]})
    assert folders["mean"] == tmp_path / "ensemble" / "mean"
    for name in ("resnet50", "logit"):
        write_csv(folders[name] / "curves.csv", [{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 0.05}])
    rows = [(row["model"], row["epoch"], row["lr"]) for row in training_curves(folders)]
    assert rows == [(name, *row) for name in ("resnet50", "logit") for row in (("1", "0.1"), ("2", "0.05"))]
