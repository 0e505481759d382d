"""Models on other splits: the same training, no group in two splits, and the summary of their scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from factories import ensemble_settings, evaluate_settings, samples_of, train_settings
from tandem.errors import LeakageError
from tandem.files import read_csv
from tandem.studies.repeated_splits import (
    SCORE_COLUMNS,
    SplitResult,
    reassign_splits,
    repeat_splits,
    repeated_splits,
    repeated_splits_summary,
    run_split,
    save_scores,
    split_scores,
)
from tandem.tables.samples import SPLITS, Samples
from tandem.training.ensembles import KINDS
from tandem.training.heads import train_head
from tandem.training.task import head_task

CLASSES = ("car", "truck")
FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}
TRAIN = train_settings(head="logistic", epochs=2)
ENSEMBLE = ensemble_settings(dropout=0.0, width=8)
SETTINGS = evaluate_settings(num_resamples=200)
Features = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Groups of two images, the last group excluded."""
    rows = range(120)
    groups, splits = [f"g{row // 2}" for row in rows], ["train" if row < 118 else "" for row in rows]
    return samples_of([row // 2 % 2 for row in rows], splits, groups=groups, class_names=CLASSES)


@pytest.fixture(scope="module")
def features(samples: Samples) -> Features:
    rng = np.random.default_rng(0)
    is_truck = samples.targets[:, None]
    return {
        name: (rng.normal(size=(120, dim)) + is_truck).astype(np.float32) for name, dim in (("one", 3), ("other", 5))
    }


@pytest.fixture(scope="module")
def results(features: Features, samples: Samples) -> list[SplitResult]:
    return repeat_splits(
        features, samples, train=TRAIN, ensemble=ENSEMBLE, fractions=FRACTIONS, first_seed=4, num_splits=2, workers=1
    )


def test_groups_are_assigned_anew_and_what_is_excluded_stays_so(samples: Samples) -> None:
    one, other = (reassign_splits(samples, fractions=FRACTIONS, seed=seed) for seed in (0, 1))
    assert (one.splits != other.splits).any()
    assert set(one.splits[:118]) == set(SPLITS)
    assert one.splits[118:].tolist() == ["", ""]
    assert one == reassign_splits(other, fractions=FRACTIONS, seed=0)


def test_seeds_that_leave_a_class_out_of_a_split_are_passed_over() -> None:
    rare = samples_of([1] * 4 + [0] * 30, ["train"] * 34, class_names=CLASSES)
    by_seed = repeated_splits(rare, fractions=FRACTIONS, first_seed=0, num_splits=3)
    assert len(by_seed) == 3
    assert list(by_seed) != [0, 1, 2]
    for reassigned in by_seed.values():
        assert set(reassigned.splits[:4]) == set(SPLITS)


def test_seeds_are_tried_from_the_first_on(samples: Samples) -> None:
    by_seed = repeated_splits(samples, fractions=FRACTIONS, first_seed=5, num_splits=2)
    assert list(by_seed) == [5, 6]
    assert by_seed[6] == reassign_splits(samples, fractions=FRACTIONS, seed=6)


def test_a_class_that_cannot_be_in_every_split_is_named_as_the_reason() -> None:
    few = samples_of([0, 1, 0, 1], ["train"] * 4, class_names=CLASSES)
    with pytest.raises(
        LeakageError, match=r"of 40 split seeds from 7 on only 0 put .* evaluate\.num_splits asks for 2"
    ):
        repeated_splits(few, fractions=FRACTIONS, first_seed=7, num_splits=2)


def test_without_a_frozen_backbone_nothing_is_trained(samples: Samples) -> None:
    kinds = {"train": TRAIN, "ensemble": ENSEMBLE, "fractions": FRACTIONS, "first_seed": 0, "num_splits": 2}
    assert repeat_splits({}, samples, **kinds, workers=1) == []


def test_each_split_is_trained_as_the_pipeline_trains_its_own(features: Features, results: list[SplitResult]) -> None:
    for result in results:
        assert list(result.logits) == ["one", "other", *KINDS]
        alone = train_head(head_task(features["one"], result.samples, TRAIN, "one"))
        assert result.logits["one"].tobytes() == alone.logits.tobytes()


def test_two_processes_train_the_same_models_as_one(
    features: Features, samples: Samples, results: list[SplitResult]
) -> None:
    kinds = {"train": TRAIN, "ensemble": ENSEMBLE, "fractions": FRACTIONS, "first_seed": 4, "num_splits": 2}
    for one, other in zip(results, repeat_splits(features, samples, **kinds, workers=2), strict=True):
        assert (one.seed, one.selected, one.single) == (other.seed, other.selected, other.single)
        for name, logits in one.logits.items():
            assert logits.tobytes() == other.logits[name].tobytes()


def test_the_best_of_one_backbone_is_that_of_validation_and_not_of_test() -> None:
    splits = (["train"] * 6 + ["val"] * 3 + ["test"] * 3) * 10
    samples = samples_of([row // 12 % 2 for row in range(120)], splits, class_names=CLASSES)
    rng = np.random.default_rng(0)
    features = {name: 0.5 * rng.normal(size=(120, 2)).astype(np.float32) for name in ("other", "one")}
    for name, split in (("other", samples.test), ("one", samples.val)):  # each tells the classes apart but there alone
        for rows in (samples.train.rows, split.rows):
            features[name][rows, 0] += 2 * samples.targets[rows]
    found = run_split(features, samples, seed=4, train=TRAIN, ensemble=ENSEMBLE)
    on_test = {name: found.logits[name][samples.test.rows].argmax(axis=1) == samples.test.targets for name in features}
    assert on_test["other"].mean() > 0.9 > 0.7 > on_test["one"].mean()
    assert found.single == "one"


def test_the_table_has_the_scores_of_scikit_learn_on_the_test_images_of_each_split(results: list[SplitResult]) -> None:
    rows = split_scores(results)
    assert len({(row.seed, row.model) for row in rows}) == len(rows) == 2 * (2 + len(KINDS))
    for row in rows:
        result = next(result for result in results if result.seed == row.seed)
        test = result.samples.test
        probs = special.softmax(result.logits[row.model][test.rows].astype(np.float64), axis=1)
        assert row.log_loss == pytest.approx(sklearn.metrics.log_loss(test.targets, probs, labels=[0, 1]))
        assert row.top1_accuracy == pytest.approx(sklearn.metrics.accuracy_score(test.targets, probs.argmax(1)))
        assert row.is_selected == (row.model == result.selected)


def test_the_saved_table_has_its_columns_even_without_rows(results: list[SplitResult], tmp_path: Path) -> None:
    save_scores(results, tmp_path / "scores.csv")
    assert len(read_csv(tmp_path / "scores.csv")) == 2 * (2 + len(KINDS))
    save_scores([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().strip().split(",") == list(SCORE_COLUMNS)


def test_the_summary_has_mean_and_spread_and_one_difference_over_all_splits(results: list[SplitResult]) -> None:
    summary, rows = repeated_splits_summary(results, settings=SETTINGS), split_scores(results)
    values = [row.top1_accuracy for row in rows if row.model == "other"]
    assert summary["seeds"] == [result.seed for result in results]
    assert summary["models"]["other"]["top1_accuracy"] == pytest.approx(
        {"mean": np.mean(values), "stdev": np.std(values, ddof=1), "low": min(values), "high": max(values)}
    )
    gains = []
    for result in results:
        test = result.samples.test
        selected, best = (
            result.logits[name][test.rows].argmax(1) == test.targets for name in (result.selected, result.single)
        )
        gains += (selected.astype(int) - best).tolist()
    assert summary["selected_minus_best_single"]["top1_accuracy"]["value"] == pytest.approx(np.mean(gains))
    lost = [
        (result.logits[name][test.rows].argmax(1) == test.targets).mean()
        for result in results
        for test in [result.samples.test]
        for name in ("student", result.selected)
    ]
    sizes = [len(result.samples.test) for result in results]
    difference = np.average(np.subtract(lost[::2], lost[1::2]), weights=sizes)
    assert summary["student_minus_selected"]["top1_accuracy"]["value"] == pytest.approx(difference)
    assert summary["pooled"]["images"] == len(gains)
    assert sum(summary["selected"]["kinds"].values()) == 2


def test_the_seed_of_evaluate_decides_the_intervals_over_all_splits(results: list[SplitResult]) -> None:
    one, again, other = (repeated_splits_summary(results, settings=replace(SETTINGS, seed=seed)) for seed in (3, 3, 4))
    assert one == again
    assert one["models"] == other["models"]
    for name in ("pooled", "selected_minus_best_single"):
        assert one[name]["log_loss"] != other[name]["log_loss"]


def test_without_a_split_there_is_nothing_to_sum_up() -> None:
    assert repeated_splits_summary([], settings=SETTINGS) == {"seeds": []}
    assert split_scores([]) == []


def test_pooled_rows_that_are_the_same_images_stand_by_their_groups(results: list[SplitResult]) -> None:
    twice = [results[0], replace(results[0], seed=99)]
    once, both = (repeated_splits_summary(each, settings=SETTINGS)["pooled"] for each in (results[:1], twice))
    assert both["log_loss"] == pytest.approx(once["log_loss"])  # no narrower for rows that are repeated
    assert both["ece_expected_if_calibrated"] == pytest.approx(once["ece_expected_if_calibrated"])
