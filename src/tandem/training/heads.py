"""Train a head on feature rows that are held in memory, and calibrate it on validation.

Linear heads need no torch, which is imported where a network is trained and not before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tandem.evaluation import calibration
from tandem.evaluation.metrics import log_loss, softmax, top1_accuracy
from tandem.files import atomic_dir, atomic_file, write_csv
from tandem.tables.logits import Logits, save_logits
from tandem.tables.samples import Samples
from tandem.tables.splits import require_every_class, stratified_group_folds
from tandem.training import linear_fit, logistic
from tandem.training.early_stopping import best_epoch
from tandem.training.linear import Linear
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch
from tandem.training.settings import TrainSettings

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Trained:
    """A calibrated head, and its logits (N, C) float32 for every row of the features.

    curve: one line an epoch; empty for a head that is fitted whole. chosen: what validation or folds decided.
    """

    head: "Linear | nn.Module"
    logits: np.ndarray
    curve: tuple[Epoch, ...]
    chosen: dict[str, float]


@dataclass(frozen=True)
class HeadTask:
    """What a head is trained on, and how. x: (N, D) float32 in the order of samples, or (N, k, D) of k views.

    Each view is a row in training; logits are then means over the views. on_epoch: called with each epoch of the curve.
    """

    x: np.ndarray
    samples: Samples
    settings: TrainSettings
    name: str
    on_epoch: EpochLogger = ignore_epoch


def as_float32(x: np.ndarray) -> np.ndarray:
    """Feature rows in memory, as a task has them; x may be mapped from a file."""
    return np.array(x, dtype=np.float32)


def train_head(
    x: np.ndarray, samples: Samples, *, settings: TrainSettings, name: str, on_epoch: EpochLogger = ignore_epoch
) -> Trained:
    """The head of settings.head, fitted on train, chosen on val. x, on_epoch: see Task."""
    return train_all([HeadTask(as_float32(x), samples, settings, name, on_epoch)])[0]


def train_all(tasks: Sequence[HeadTask]) -> list[Trained]:
    """The head of each task's settings.head; linear ones are trained together, which changes no byte of any."""
    for task in tasks:
        _require_every_class(task.samples)
    linear = [number for number, task in enumerate(tasks) if task.settings.head == "linear"]
    trained = dict(zip(linear, fit_linear([tasks[number] for number in linear]), strict=True))
    alone = {"mlp": _mlp, "logistic": lambda task: _logistic(task)[0]}
    return [trained.get(number) or alone[task.settings.head](task) for number, task in enumerate(tasks)]


def train_with_folds(task: HeadTask) -> tuple[Trained, np.ndarray]:
    """The head of a task, and (N, C) float32 logits that no row has shaped by its own label, to be fitted to.

    A train row's are by a head trained without its fold of groups (a logistic one by the strength that all of them
    chose), all others' by the trained head itself. With fewer groups of a class than folds, a fold may lack it; its
    rows then keep the logits of the trained head.
    """
    rows = task.samples.train.rows
    if task.settings.head == "logistic":
        _require_every_class(task.samples)
        trained, held_out = _logistic(task)
        logits, is_there = trained.logits.copy(), np.isfinite(held_out).all(axis=1)
        logits[rows[is_there]] = held_out[is_there]
        return trained, logits
    fold_of = _folds(task.samples, task.settings)
    held = [rows[fold_of == fold] for fold in np.unique(fold_of)]
    parts = [
        (
            own,
            replace(
                task,
                samples=task.samples.with_unassigned(own),
                name=f"{task.name}, fold {number}",
                on_epoch=ignore_epoch,
            ),
        )
        for number, own in enumerate(held, 1)
    ]
    num_classes = len(task.samples.class_names)
    whole = [(own, part) for own, part in parts if len(np.unique(part.samples.train.targets)) == num_classes]
    trained, *others = train_all([task, *(part for _, part in whole)])
    logits = trained.logits.copy()
    for (own, _), other in zip(whole, others, strict=True):
        logits[own] = other.logits[own]
    return trained, logits


def fit_linear(tasks: Sequence[HeadTask]) -> list[Trained]:
    """A linear head for each task, all of them at once."""
    fitted = linear_fit.fit_linear_heads(
        [
            linear_fit.LinearTask(
                train=_part(task, "train"),
                val=_part(task, "val"),
                num_classes=len(task.samples.class_names),
                settings=task.settings,
                name=task.name,
                on_epoch=task.on_epoch,
            )
            for task in tasks
        ]
    )
    return [_calibrated(task, *each) for task, each in zip(tasks, fitted, strict=True)]


def fit_network(task: HeadTask, make: "Callable[[torch.Tensor], nn.Module]") -> Trained:
    """The head that `make` makes of the train rows, fitted to them by Adam; its best epoch is by val."""
    import torch

    from tandem.training import network_fit, networks

    train_head, val = (
        network_fit.Batch(torch.from_numpy(part.x[part.rows]), torch.from_numpy(part.targets))
        for part in (_part(task, "train"), _part(task, "val"))
    )
    head = make(train_head.x)
    curve = network_fit.fit_network_head(
        head, train=train_head, val=val, settings=task.settings, name=task.name, on_epoch=task.on_epoch
    )
    raw = network_fit.predict(head, torch.from_numpy(task.x)).numpy()
    temperature, logits = _temperature_scaled(task, raw)
    return Trained(networks.TemperatureScaled(head, temperature).eval(), logits, curve, _chosen(curve, temperature))


def head_summary(trained: Trained, samples: Samples) -> dict[str, float]:
    """What was chosen, and log loss and top-1 accuracy on val and on train, for the metrics."""
    scores = {}
    for split in ("val", "train"):
        target, probs = samples.split(split).targets, softmax(trained.logits[samples.split(split).rows])
        scores[f"{split}_loss"] = log_loss(target=target, probs=probs)
        scores[f"{split}_top1_accuracy"] = top1_accuracy(target=target, predicted=probs.argmax(axis=1))
    return {**trained.chosen, **scores}


def save_head(trained: Trained, samples: Samples, folder: Path, *, out_of_fold: np.ndarray | None = None) -> None:
    """Write `folder`, whole or not at all: the head, logits.npz, curves.csv and out_of_fold.npz if any.

    The head is head.npz (see Linear), or head.pt (the state dict) of a network.
    """
    with atomic_dir(folder) as temporary:
        _save_head(trained.head, temporary)
        tables = {"logits": trained.logits} | ({} if out_of_fold is None else {"out_of_fold": out_of_fold})
        for stem, values in tables.items():
            save_logits(Logits(tuple(samples.ids), samples.class_names, values), temporary / f"{stem}.npz")
        if trained.curve:
            write_csv(temporary / "curves.csv", [asdict(epoch) for epoch in trained.curve])


def _save_head(head: "Linear | nn.Module", folder: Path) -> None:
    if isinstance(head, Linear):
        head.save(folder / "head.npz")
        return
    import torch

    with atomic_file(folder / "head.pt") as path, path.open("wb") as file:
        torch.save(head.state_dict(), file)


def _mlp(task: HeadTask) -> Trained:
    from tandem.training import networks

    settings, num_classes = task.settings, len(task.samples.class_names)
    return fit_network(task, lambda x: networks.mlp_head(x, num_classes, dropout=settings.dropout, seed=settings.seed))


def _logistic(task: HeadTask) -> tuple[Trained, np.ndarray]:
    """The head, and (n, C) logits of the train rows out of fold, at the temperature of the head."""
    own, num_views = _part(task, "train"), _num_views(task.x)
    fold_of = _folds(task.samples, task.settings).repeat(num_views)
    found = logistic.fit_cv(own.x[own.rows], own.targets, fold_of, balanced=task.settings.balance != "none")
    trained = _calibrated(task, found.head, (), chosen={"strength": found.strength})
    held_out = found.held_out.reshape(-1, num_views, found.held_out.shape[1]).mean(axis=1)
    return trained, (held_out / trained.chosen["temperature"]).astype(np.float32)


def _calibrated(
    task: HeadTask, head: Linear, curve: tuple[Epoch, ...], *, chosen: Mapping[str, float] | None = None
) -> Trained:
    """The head at its temperature, and its logits. chosen: None is the best epoch of the curve."""
    temperature, logits = _temperature_scaled(task, head.logits(task.x))
    return Trained(head.scaled(temperature), logits, curve, _chosen(curve, temperature, chosen))


def _temperature_scaled(task: HeadTask, raw: np.ndarray) -> tuple[float, np.ndarray]:
    """The temperature that validation asks for, and logits (N, C) divided by it."""
    temperature = calibration.fit_temperature(raw[task.samples.val.rows], target=task.samples.val.targets)
    return temperature, calibration.apply_temperature(raw, temperature)


def _chosen(
    curve: tuple[Epoch, ...], temperature: float, chosen: Mapping[str, float] | None = None
) -> dict[str, float]:
    return {**({"best_epoch": best_epoch(curve)} if chosen is None else chosen), "temperature": temperature}


def _part(task: HeadTask, split: str) -> linear_fit.LinearRows:
    """The rows of a split in the table of the task, each of k views a row with its image's target."""
    num_views = _num_views(task.x)
    rows = task.samples.split(split).rows[:, None] * num_views + np.arange(num_views)
    targets = task.samples.split(split).targets.repeat(num_views)
    return linear_fit.LinearRows(task.x.reshape(-1, task.x.shape[-1]), rows.ravel(), targets)


def _num_views(x: np.ndarray) -> int:
    return x.shape[1] if x.ndim == 3 else 1


def _folds(samples: Samples, settings: TrainSettings) -> np.ndarray:
    """(n,) fold of each train row."""
    return stratified_group_folds(
        samples.train.targets, samples.train.groups, num_folds=settings.folds, seed=settings.seed
    )


def _require_every_class(samples: Samples) -> None:
    require_every_class(samples.labels.tolist(), samples.splits.tolist(), class_names=samples.class_names)
