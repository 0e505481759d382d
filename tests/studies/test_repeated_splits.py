"""Models on other splits: the same training, no group on two sides, and what is told of them."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from tandem.errors import LeakageError
from tandem.evaluation import calibration, report
from tandem.studies.repeated_splits import (
    SplitResult,
    reassign_splits,
    repeated_splits,
    repeated_splits_summary,
    run_split,
    split_scores,
)
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.training import heads

CLASSES = ("car", "truck")
FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}
TRAIN = {
    "trainable_backbone_layers": 0,
    "head": "logistic",
    "lr": 0.1,
    "batch_size": 8,
    "epochs": 2,
    "patience": 5,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "scheduler": "none",
    "balance": "none",
    "folds": 3,
    "seed": 0,
}
ENSEMBLE = {"kind": "best", "dropout": 0.0, "width": 8}
SETTINGS = report.Settings(draws=200, max_error=0.1, seed=0)


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Groups of two images, the last group left out."""
    rows = [Sample(f"{row:03}", CLASSES[row // 2 % 2], "drawn", f"g{row // 2}", "train") for row in range(118)]
    out = [Sample(f"{row:03}", "car", "drawn", "g59", "", "copy") for row in (118, 119)]
    return Samples.of(CLASSES, (*rows, *out))


@pytest.fixture(scope="module")
def features() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    truck = (np.arange(120) // 2 % 2)[:, None]
    return {name: (rng.normal(size=(120, dim)) + truck).astype(np.float32) for name, dim in (("one", 3), ("other", 5))}


@pytest.fixture(scope="module")
def repeats(features: dict[str, np.ndarray], samples: Samples) -> list[SplitResult]:
    drawn = repeated_splits(samples, fractions=FRACTIONS, first=4, seeds=2)
    return [run_split(features, own, seed=seed, train=TRAIN, ensemble=ENSEMBLE) for seed, own in drawn.items()]


def test_groups_are_drawn_anew_and_what_was_left_out_stays_out(samples: Samples) -> None:
    one, other = (reassign_splits(samples, fractions=FRACTIONS, seed=seed) for seed in (0, 1))
    assert [sample.split for sample in one.samples] != [sample.split for sample in other.samples]
    assert {sample.split for sample in one.samples[:118]} == set(SPLITS)
    assert [sample.split for sample in one.samples[118:]] == ["", ""]
    assert one == reassign_splits(other, fractions=FRACTIONS, seed=0)


def test_seeds_that_leave_a_class_out_of_a_split_are_passed_over() -> None:
    rare = [Sample(f"t{row}", "truck", "drawn", f"t{row}", "train") for row in range(4)]
    common = [Sample(f"c{row}", "car", "drawn", f"c{row}", "train") for row in range(30)]
    drawn = repeated_splits(Samples.of(CLASSES, (*rare, *common)), fractions=FRACTIONS, first=0, seeds=3)
    assert len(drawn) == 3
    assert list(drawn) != [0, 1, 2]
    for own in drawn.values():
        assert {own.samples[row].split for row in range(4)} == set(SPLITS)


def test_a_class_that_cannot_be_in_every_split_is_named_as_the_reason() -> None:
    few = tuple(Sample(f"{row}", CLASSES[row % 2], "drawn", f"{row}", "train") for row in range(4))
    with pytest.raises(LeakageError, match=r"of 40 split seeds from 7 on only 0 put .* evaluate\.seeds asks for 2"):
        repeated_splits(Samples.of(CLASSES, few), fractions=FRACTIONS, first=7, seeds=2)


def test_each_seed_is_trained_as_the_pipeline_trains_its_own_split(
    features: dict[str, np.ndarray], repeats: list[SplitResult]
) -> None:
    for each in repeats:
        direct = heads.train_head(
            features["one"], each.samples, settings=heads.TrainSettings.from_params(TRAIN), name="one"
        )
        np.testing.assert_array_equal(each.logits["one"], direct.logits)


def test_the_table_has_the_scores_of_scikit_learn_on_the_test_images_of_each_seed(repeats: list[SplitResult]) -> None:
    rows = split_scores(repeats)
    assert len({(row.seed, row.model) for row in rows}) == len(rows) == 2 * 8
    for row in rows:
        own = next(each for each in repeats if each.seed == row.seed)
        picked = own.samples.test.rows
        probs = special.softmax(own.logits[row.model][picked].astype(np.float64), axis=1)
        target = own.samples.test.targets
        assert row.log_loss == pytest.approx(sklearn.metrics.log_loss(target, probs, labels=[0, 1]))
        assert row.top1_accuracy == pytest.approx(sklearn.metrics.accuracy_score(target, probs.argmax(1)))
        assert row.is_selected == (row.model == own.selected)


def test_the_summary_tells_mean_and_spread_and_one_difference_over_all_seeds(repeats: list[SplitResult]) -> None:
    told, rows = repeated_splits_summary(repeats, settings=SETTINGS), split_scores(repeats)
    values = [row.top1_accuracy for row in rows if row.model == "other"]
    assert told["seeds"] == [each.seed for each in repeats]
    assert told["models"]["other"]["top1_accuracy"] == pytest.approx(
        {"mean": np.mean(values), "stdev": np.std(values, ddof=1), "low": min(values), "high": max(values)}
    )
    gains = []
    for each in repeats:
        target, picked = each.samples.test.targets, each.samples.test.rows
        own, best = (each.logits[name][picked].argmax(1) == target for name in (each.selected, each.single))
        gains += (own.astype(int) - best).tolist()
    assert told["selected_minus_best_single"]["top1_accuracy"]["value"] == pytest.approx(np.mean(gains))
    assert told["together"]["images"] == len(gains)
    assert sum(told["selected"]["kinds"].values()) == 2


def test_without_a_repeat_there_is_nothing_to_tell() -> None:
    assert repeated_splits_summary([], settings=SETTINGS) == {"seeds": []}
    assert split_scores([]) == []


def test_pooled_rows_that_are_the_same_images_stand_by_their_groups(repeats: list[SplitResult]) -> None:
    twice = [repeats[0], replace(repeats[0], seed=99)]
    once, both = (repeated_splits_summary(each, settings=SETTINGS)["together"] for each in (repeats[:1], twice))
    assert both["log_loss"] == pytest.approx(once["log_loss"])  # limits are no narrower for rows that are repeated
    assert both["ece_by_chance"] == pytest.approx(once["ece_by_chance"])


def test_the_error_by_chance_is_what_labels_drawn_from_the_probs_have() -> None:
    rng = np.random.default_rng(1)
    probs = special.softmax(rng.normal(size=(150, 3)) * 2, axis=1)
    ids = [str(row) for row in range(150)]
    found = calibration.ece_under_calibration(probs=probs, ids=ids, num_resamples=2000, seed=0)
    drawn = []
    for _ in range(2000):  # labels by the whole of the probs, and the error by its definition
        target = (rng.random((150, 1)) < probs.cumsum(axis=1)).argmax(axis=1)
        drawn.append(calibration.expected_calibration_error(target=target, probs=probs))
    assert found.mean() == pytest.approx(np.mean(drawn), abs=0.002)
    assert np.quantile(found, 0.95) == pytest.approx(np.quantile(drawn, 0.95), abs=0.004)
