"""Train a head on feature rows that are held in memory, and calibrate it on validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tandem import calibration, descent, heads, linear_descent, logistic
from tandem.descent import Settings
from tandem.files import whole_file, whole_folder, write_table
from tandem.folds import folds
from tandem.logits import Logits, save_logits
from tandem.metrics import log_loss, softmax, top1_accuracy
from tandem.samples import Samples
from tandem.splits import require_every_class
from tandem.tracking import Epoch, OnEpoch, ignore

__all__ = [
    "Settings",
    "Task",
    "Trained",
    "fit_linear",
    "fit_net",
    "save",
    "summary",
    "table",
    "train",
    "train_all",
    "train_with_folds",
]


@dataclass(frozen=True)
class Trained:
    """A calibrated head, and its logits (N, C) float32 for every row of the features.

    curve: one line an epoch; empty for a head that is fitted whole. chosen: what validation or folds decided.
    """

    head: nn.Module
    logits: np.ndarray
    curve: tuple[Epoch, ...]
    chosen: dict[str, float]


@dataclass(frozen=True)
class Task:
    """What a head is trained on, and how. x: (N, D) float32 in the order of samples, or (N, k, D) of k views.

    Each view is a row in training; logits are then means over the views. on_epoch: called with each epoch of the curve.
    """

    x: torch.Tensor
    samples: Samples
    settings: Settings
    name: str
    on_epoch: OnEpoch = ignore


def table(x: np.ndarray) -> torch.Tensor:
    """Feature rows in memory, as a task has them; x may be mapped from a file."""
    return torch.from_numpy(np.array(x, dtype=np.float32))


def train(x: np.ndarray, samples: Samples, *, settings: Settings, name: str, on_epoch: OnEpoch = ignore) -> Trained:
    """The head of settings.head, fitted on train, chosen on val. x, on_epoch: see Task."""
    return train_all([Task(table(x), samples, settings, name, on_epoch)])[0]


def train_all(tasks: Sequence[Task]) -> list[Trained]:
    """The head of each task's settings.head; linear ones are trained together, which changes no byte of any."""
    for task in tasks:
        _require_every_class(task.samples)
    linear = [task for task in tasks if task.settings.head == "linear"]
    together = iter(fit_linear(linear))
    return [next(together) if task.settings.head == "linear" else _ALONE[task.settings.head](task) for task in tasks]


def train_with_folds(task: Task) -> tuple[Trained, np.ndarray]:
    """The head of a task, and (N, C) float32 logits that no row has shaped by its own label, to be fitted to.

    A train row's are by a head trained without its fold of groups (a logistic one by the strength that all of them
    chose), all others' by the trained head itself. With fewer groups of a class than folds, a fold may lack it; its
    rows then keep the logits of the trained head.
    """
    rows, fold_of = task.samples.rows("train"), _folds(task.samples, task.settings)
    held = [rows[fold_of == fold] for fold in np.unique(fold_of)]
    parts = [
        replace(task, samples=task.samples.without(own), name=f"{task.name}, fold {number}", on_epoch=ignore)
        for number, own in enumerate(held, 1)
    ]
    whole = [
        (part, own)
        for part, own in zip(parts, held, strict=True)
        if len(np.unique(part.samples.targets("train"))) == len(task.samples.class_names)
    ]
    if task.settings.head == "logistic":
        trained = _logistic(task)
        others = [_fit_logistic(part, strength=trained.chosen["strength"]) for part, _ in whole]
    else:
        trained, *others = train_all([task, *(part for part, _ in whole)])
    logits = trained.logits.copy()
    for (_, own), other in zip(whole, others, strict=True):
        logits[own] = other.logits[own]
    return trained, logits


def fit_linear(tasks: Sequence[Task]) -> list[Trained]:
    """A linear head for each task, all of them at once."""
    made = []
    for task in tasks:
        train, val = (_part(task, split) for split in ("train", "val"))
        settings, num_classes = task.settings, len(task.samples.class_names)
        rows, dropout = train.x[train.rows], settings.dropout
        head = heads.linear_head(rows, num_classes, dropout=dropout, seed=settings.seed)
        made.append(linear_descent.Task(head, train, val, settings, task.name, task.on_epoch))
    curves = linear_descent.fit(made)
    return [_calibrated(task, own.head, curve) for task, own, curve in zip(tasks, made, curves, strict=True)]


def fit_net(task: Task, make: Callable[[torch.Tensor], nn.Module]) -> Trained:
    """The head that `make` makes of the train rows, fitted to them by Adam; its best epoch is by val."""
    train, val = (_rows(task, split) for split in ("train", "val"))
    head = make(train.x)
    curve = descent.fit(head, train=train, val=val, settings=task.settings, name=task.name, on_epoch=task.on_epoch)
    return _calibrated(task, head, curve)


def summary(trained: Trained, samples: Samples) -> dict[str, float]:
    """What was chosen, and log loss and top-1 accuracy on val and on train, for the metrics."""
    scores = {}
    for split in ("val", "train"):
        target, probs = samples.targets(split), softmax(trained.logits[samples.rows(split)])
        scores[f"{split}_loss"] = log_loss(target=target, probs=probs)
        scores[f"{split}_top1_accuracy"] = top1_accuracy(target=target, predicted=probs.argmax(axis=1))
    return {**trained.chosen, **scores}


def save(trained: Trained, samples: Samples, folder: Path, *, out_of_fold: np.ndarray | None = None) -> None:
    """Write `folder`, whole or not at all: head.pt (state dict), logits.npz, curves.csv and out_of_fold.npz if any."""
    with whole_folder(folder) as temporary:
        with whole_file(temporary / "head.pt") as path, path.open("wb") as file:
            torch.save(trained.head.state_dict(), file)
        tables = {"logits": trained.logits} | ({} if out_of_fold is None else {"out_of_fold": out_of_fold})
        for stem, values in tables.items():
            save_logits(Logits(tuple(samples.ids), samples.class_names, values), temporary / f"{stem}.npz")
        if trained.curve:
            write_table(temporary / "curves.csv", [asdict(epoch) for epoch in trained.curve])


def _mlp(task: Task) -> Trained:
    settings, num_classes = task.settings, len(task.samples.class_names)
    return fit_net(task, lambda x: heads.mlp_head(x, num_classes, dropout=settings.dropout, seed=settings.seed))


def _logistic(task: Task) -> Trained:
    own, balanced = _rows(task, "train"), task.settings.balance != "none"
    fold_of = _folds(task.samples, task.settings).repeat(_num_views(task.x))
    strength = logistic.choose_strength(own.x.numpy(), own.targets.numpy(), fold_of, balanced=balanced)
    return _fit_logistic(task, strength=strength)


_ALONE = {"mlp": _mlp, "logistic": _logistic}


def _fit_logistic(task: Task, *, strength: float) -> Trained:
    own, balanced = _rows(task, "train"), task.settings.balance != "none"
    fitted = logistic.fit(own.x.numpy(), own.targets.numpy(), strength=strength, balanced=balanced)
    return _calibrated(task, heads.logistic_head(fitted), (), chosen={"strength": strength})


def _calibrated(
    task: Task, head: nn.Module, curve: tuple[Epoch, ...], *, chosen: Mapping[str, float] | None = None
) -> Trained:
    """The head, its temperature fitted on val, and its logits. chosen: the best epoch where it is None."""
    rows, target = task.samples.rows("val"), task.samples.targets("val")
    logits = descent.predict(head, task.x).numpy()
    temperature = calibration.fit_temperature(logits[rows], target=target)
    chosen = {"best_epoch": descent.best_epoch(curve)} if chosen is None else chosen
    calibrated = calibration.calibrated(logits, temperature)
    return Trained(
        heads.Calibrated(head, temperature).eval(), calibrated, curve, {**chosen, "temperature": temperature}
    )


def _part(task: Task, split: str) -> linear_descent.Part:
    """The rows of a split in the table of the task, each of k views a row with its picture's target."""
    num_views = _num_views(task.x)
    rows = task.samples.rows(split)[:, None] * num_views + np.arange(num_views)
    targets = task.samples.targets(split).repeat(num_views)
    return linear_descent.Part(task.x.flatten(0, -2), torch.from_numpy(rows.ravel()), torch.from_numpy(targets))


def _rows(task: Task, split: str) -> descent.Rows:
    x, rows, targets = _part(task, split)
    return descent.Rows(x[rows], targets)


def _num_views(x: torch.Tensor) -> int:
    return x.shape[1] if x.ndim == 3 else 1


def _folds(samples: Samples, settings: Settings) -> np.ndarray:
    """(n,) fold of each train row."""
    return folds(samples.targets("train"), samples.groups("train"), num_folds=settings.folds, seed=settings.seed)


def _require_every_class(samples: Samples) -> None:
    labels, parts = [sample.label for sample in samples.samples], [sample.split for sample in samples.samples]
    require_every_class(labels, parts, class_names=samples.class_names)
