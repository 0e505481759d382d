"""Scores of a split against scikit-learn, and of nothing but that split."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from factories import samples_of
from tandem.errors import DataError
from tandem.evaluation.metrics import METRICS, predict
from tandem.evaluation.scores import best_on, predictions_on, score
from tandem.tables.samples import SPLITS, Samples

CLASSES = ("car", "motorcycle", "truck", "bus")


def generated(seed: int, *, num_classes: int = 4) -> tuple[np.ndarray, Samples]:
    """Logits and samples of the first `num_classes` classes, some of them in no split."""
    rng = np.random.default_rng(seed)
    splits = rng.choice([*SPLITS, ""], size=60).tolist()
    samples = samples_of(rng.integers(num_classes, size=60).tolist(), splits, class_names=CLASSES)
    return 3 * rng.normal(size=(60, len(CLASSES))).astype(np.float32), samples


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(SPLITS), st.integers(1, 4))
def test_the_scores_are_those_of_scikit_learn_on_the_images_of_the_split(
    seed: int, split: str, num_classes: int
) -> None:
    logits, samples = generated(seed, num_classes=num_classes)
    rows = [row for row, name in enumerate(samples.splits) if name == split]
    targets, inside = samples.targets[rows], logits[rows]
    probs = special.softmax(inside.astype(np.float64), axis=1)
    found = score(predictions_on(samples.split(split), logits))
    assert list(found) == list(METRICS)
    del found["ece"]  # see test_metrics.py
    assert found == pytest.approx(
        {
            "top1_accuracy": sklearn.metrics.accuracy_score(targets, inside.argmax(1)),
            "macro_f1": sklearn.metrics.f1_score(
                targets, inside.argmax(1), labels=range(4), average="macro", zero_division=0
            ),
            "log_loss": sklearn.metrics.log_loss(targets, probs, labels=range(4)),
            "brier_score": ((probs - np.eye(4)[targets]) ** 2).sum() / len(targets),
        }
    )


def test_the_best_model_on_a_split_is_the_first_of_the_lowest_log_loss() -> None:
    logits, samples = generated(0)
    good = logits.copy()
    good[samples.val.rows] += 5 * np.eye(4, dtype=np.float32)[samples.val.targets]
    models = {"bad": logits, "good": good, "the same": good.copy()}
    assert best_on(samples.val, models) == "good"
    assert best_on(samples.test, models) == "bad"  # there all are alike


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_have_no_scores_on_the_split_that_they_are_in(value: float) -> None:
    samples = samples_of([0, 1, 2], ["train", "val", "test"])
    logits = np.zeros((3, 3), dtype=np.float32)
    logits[1, 2] = value
    predictions_on(samples.test, logits)
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match="the probs of image 001 are not finite; train"):
        predictions_on(samples.val, logits)


def test_probs_of_another_number_of_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"probs of shape \(2, 3\) for 3 images"):
        predict(np.zeros((2, 3)), np.zeros(3, dtype=np.int64))
