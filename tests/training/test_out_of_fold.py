"""Logits of train images by heads that have not seen them, on noise that only a head that has seen it can know."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factories import blobs, samples_of, train_settings
from tandem.training.loggers import Epoch
from tandem.training.out_of_fold import train_with_folds
from tandem.training.task import head_task

SETTINGS = train_settings(batch_size=16, epochs=5)


@pytest.mark.parametrize("head", ["linear", "logistic", "mlp"])
def test_out_of_fold_logits_are_by_heads_that_have_not_seen_the_image_or_its_group(head: Any) -> None:
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(100, 60)), 3, axis=0).astype(np.float32)
    targets = np.repeat(rng.integers(3, size=100), 3)
    groups = np.repeat(np.arange(100), 3)
    splits = [("train", "train", "train", "val", "test")[group % 5] for group in groups]
    samples = samples_of(targets.tolist(), splits, groups=groups.astype(str).tolist())
    settings = replace(SETTINGS, head=head, epochs=40, lr=0.02)
    trained, found = train_with_folds(head_task(features, samples, settings, "noise"))
    train = samples.train
    assert (found[train.rows].argmax(1) == train.targets).mean() < 0.5
    if head != "logistic":  # which takes a strong penalty for noise, and so overfits little
        assert (trained.logits[train.rows].argmax(1) == train.targets).mean() > 0.6
    others = np.setdiff1d(np.arange(len(features)), train.rows)
    assert found[others].tobytes() == trained.logits[others].tobytes()


@pytest.mark.parametrize("head", ["linear", "logistic"])
def test_a_class_of_one_group_keeps_the_logits_of_the_trained_head(head: Any) -> None:
    features, samples = blobs(60)
    is_truck = (samples.targets == 2) & (samples.splits == "train")
    alone = replace(samples, groups=np.where(is_truck, "all trucks", samples.groups))
    trained, found = train_with_folds(head_task(features, alone, replace(SETTINGS, head=head), "blobs"))
    others = alone.train.rows[alone.train.targets != 2]
    assert found[is_truck].tobytes() == trained.logits[is_truck].tobytes()
    assert (found[others] != trained.logits[others]).any()


@pytest.mark.parametrize("head", ["linear", "logistic"])
def test_a_single_view_is_the_image_itself(head: Any) -> None:
    features, samples = blobs()
    settings = replace(SETTINGS, head=head)
    tasks = (head_task(rows, samples, settings, "blobs") for rows in (features, features[:, None]))
    one, other = (train_with_folds(task)[1] for task in tasks)
    assert one.tobytes() == other.tobytes()


def test_only_the_head_itself_is_logged() -> None:
    features, samples = blobs()
    logged = list[Epoch]()
    trained, _ = train_with_folds(head_task(features, samples, SETTINGS, "blobs", logged.append))
    assert tuple(logged) == trained.curve
