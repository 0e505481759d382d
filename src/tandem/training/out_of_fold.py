"""A head, and logits of its train images by heads that have not seen them: what a stacked ensemble is fitted to."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tandem.training.heads import Trained, calibrated, fit_logistic_head, train_all, train_folds
from tandem.training.loggers import ignore_epoch
from tandem.training.task import HeadTask


def train_with_folds(task: HeadTask) -> tuple[Trained, np.ndarray]:
    """The head of a task, and (N, C) float32 logits of all images, out of fold on the train images.

    A train image's are by a head trained without its fold of groups (a logistic one by the C that all of them chose),
    all others' by the trained head itself. With fewer groups of a class than folds, a fold may leave none; its images
    then keep the logits of the trained head.
    """
    return _logistic_with_folds(task) if task.settings.head == "logistic" else _retrained_on_folds(task)


def _logistic_with_folds(task: HeadTask) -> tuple[Trained, np.ndarray]:
    fitted, out_of_fold = fit_logistic_head(task)
    trained = calibrated(task, fitted)
    logits, is_known = trained.logits.copy(), np.isfinite(out_of_fold).all(axis=1)
    scaled = (out_of_fold / trained.choices["temperature"]).astype(np.float32)
    logits[task.train.rows[is_known]] = scaled[is_known]
    return trained, logits


def _retrained_on_folds(task: HeadTask) -> tuple[Trained, np.ndarray]:
    folds = list(_fold_tasks(task))
    trained, *fold_heads = train_all([task, *(fold_task for _, fold_task in folds)])
    logits = trained.logits.copy()
    for (rows, _), fold_head in zip(folds, fold_heads, strict=True):
        logits[rows] = fold_head.logits[rows]
    return trained, logits


def _fold_tasks(task: HeadTask) -> Iterator[tuple[np.ndarray, HeadTask]]:
    """The row numbers of each fold and the task without them, where that leaves every class an image."""
    fold_of = train_folds(task)
    for number, fold in enumerate(np.unique(fold_of), 1):
        others = task.train.subset(fold_of != fold)
        if len(np.unique(others.targets)) == task.num_classes:
            name = f"{task.name}, fold {number}"
            yield task.train.rows[fold_of == fold], replace(task, train=others, name=name, on_epoch=ignore_epoch)
