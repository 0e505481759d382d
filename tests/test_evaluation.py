"""Scores of a split against scikit-learn, and of nothing but that split."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tandem import evaluation
from tandem.samples import Sample, Samples

CLASSES = ("car", "motorcycle", "truck", "bus")
SOURCES = ("exports", "snapshots")


def drawn(seed: int, *, num_classes: int = 4) -> tuple[np.ndarray, Samples]:
    """Logits and samples of the first `num_classes` classes, some of them left out of every split."""
    rng = np.random.default_rng(seed)
    samples = tuple(
        Sample(f"{row:03}", CLASSES[rng.integers(num_classes)], SOURCES[rng.integers(2)], f"{row:03}", split)
        for row, split in enumerate(rng.choice(["train", "val", "test", ""], size=60).tolist())
    )
    return rng.normal(size=(60, len(CLASSES))).astype(np.float32) * 3, Samples(CLASSES, samples)


def of_split(logits: np.ndarray, samples: Samples, split: str) -> tuple[list[int], np.ndarray]:
    rows = [row for row, sample in enumerate(samples.samples) if sample.split == split]
    return [CLASSES.index(samples.samples[row].label) for row in rows], logits[rows]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(["train", "val", "test"]), st.integers(1, 4))
def test_the_scores_are_those_of_scikit_learn_on_the_rows_of_the_split(seed: int, split: str, num_classes: int) -> None:
    logits, samples = drawn(seed, num_classes=num_classes)
    target, own = of_split(logits, samples, split)
    predicted = own.argmax(1)
    assert evaluation.score(logits, samples, split=split) == pytest.approx(
        {
            "top1_accuracy": sklearn.metrics.accuracy_score(target, predicted),
            "macro_f1": sklearn.metrics.f1_score(target, predicted, labels=range(4), average="macro", zero_division=0),
            "log_loss": sklearn.metrics.log_loss(
                target, special.softmax(own.astype(np.float64), axis=1), labels=range(4)
            ),
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
        assert list(found[name]) == ["precision", "recall", "f1", "pictures"]


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
        assert found[source] == {"top1_accuracy": pytest.approx(sum(right) / len(right)), "pictures": len(right)}
    right = sum(values["top1_accuracy"] * values["pictures"] for values in found.values())
    pictures = sum(values["pictures"] for values in found.values())
    whole = evaluation.score(logits, samples, split="test")["top1_accuracy"]
    assert whole == pytest.approx(right / pictures)
    assert pictures == len(samples.rows("test"))


def test_a_source_without_a_picture_in_the_split_is_not_named() -> None:
    samples = Samples(CLASSES, (Sample("a", "car", "exports", "a", "test"), Sample("b", "car", "others", "b", "train")))
    assert list(evaluation.by_source(np.eye(4)[:2], samples, split="test")) == ["exports"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_rows_of_other_splits_change_no_number(split: str) -> None:
    logits, samples = drawn(1)
    before = evaluation.report({"m": logits}, samples, shipped="m", split=split)
    others = np.setdiff1d(np.arange(60), samples.rows(split))
    logits[others] = 99
    assert evaluation.report({"m": logits}, samples, shipped="m", split=split) == before


def test_the_report_has_the_shipped_model_in_full_and_the_scores_of_all() -> None:
    (one, samples), (other, _) = drawn(0), drawn(1)
    report = evaluation.report({"one": one, "other": other}, samples, shipped="other", split="test")
    assert report["shipped"] == {"model": "other", **evaluation.score(other, samples, split="test")}
    assert report["models"] == {
        "one": evaluation.score(one, samples, split="test"),
        "other": evaluation.score(other, samples, split="test"),
    }
    assert report["classes"] == evaluation.by_class(other, samples, split="test")
    assert report["sources"] == evaluation.by_source(other, samples, split="test")
    assert report["pictures"] == len(samples.rows("test"))


def test_predictions_name_the_class_with_the_highest_logit() -> None:
    samples = Samples(
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
    samples = Samples(("car", "truck"), (Sample("a", "truck", "exports", "a", "test"),))
    logits = np.array([[0, 1e-20]], dtype=np.float32)
    assert evaluation.score(logits, samples, split="test")["top1_accuracy"] == 1
    assert evaluation.predictions(logits, samples, split="test")[0]["predicted"] == "truck"
