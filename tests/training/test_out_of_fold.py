"""Logits of train images by heads that have not seen them, on noise that only a head that has seen it can know."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factories import blobs, samples_of, train_settings
from tandem.tables.samples import SPLITS, Samples
from tandem.tables.splits import stratified_group_folds
from tandem.training.fitting.logistic import fit_cv
from tandem.training.heads import train_head
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


def with_pairs(samples: Samples) -> Samples:
    """The same images in groups of two of one split."""
    groups = samples.groups.astype("<U20")
    for name in SPLITS:
        rows = samples.split(name).rows
        groups[rows] = [f"{name}{number // 2}" for number in range(len(rows))]
    return replace(samples, groups=groups)


def test_logits_of_tta_views_are_by_a_fit_that_has_seen_no_view_of_the_fold_at_the_temperature_of_the_head() -> None:
    features, samples = blobs(spread=6.0)
    samples = with_pairs(samples)
    noise = np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    views, train = np.stack([features, features + noise], axis=1), samples.train
    settings = replace(SETTINGS, head="logistic", seed=3)
    trained, found = train_with_folds(head_task(views, samples, settings, "blobs"))
    fold_of = stratified_group_folds(train.targets, train.groups, num_folds=settings.folds, seed=3)
    table, targets = views[train.rows].reshape(-1, 6), train.targets.repeat(2)
    direct = fit_cv(table, targets, fold_of.repeat(2), balanced=False)
    temperature = trained.choices["temperature"]
    assert abs(temperature - 1) > 0.02
    expected = direct.out_of_fold.reshape(len(train), 2, 3).mean(axis=1) / temperature
    assert found[train.rows] == pytest.approx(expected, abs=1e-5)
    assert trained.choices["C"] == direct.C


@pytest.mark.parametrize("num_views", [1, 2])
def test_a_fold_head_is_trained_on_the_images_of_the_other_folds_as_the_head_is(num_views: int) -> None:
    features, samples = blobs(90)
    samples = with_pairs(samples)
    views = np.repeat(features[:, None], num_views, axis=1) + np.arange(num_views, dtype=np.float32)[:, None]
    settings = replace(SETTINGS, seed=3)
    task = head_task(views, samples, settings, "blobs")
    _, found = train_with_folds(task)
    fold_of = stratified_group_folds(task.train.targets, task.train.groups, num_folds=settings.folds, seed=3)
    for fold in range(settings.folds):
        alone = train_head(replace(task, train=task.train.subset(fold_of != fold)))
        rows = task.train.rows[fold_of == fold]
        assert found[rows].tobytes() == alone.logits[rows].tobytes()


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
