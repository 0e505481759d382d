"""Train a head on feature rows that are held in memory, and calibrate it on validation."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tandem import calibration, descent, heads, logistic
from tandem.descent import Settings
from tandem.files import whole_file, whole_folder, write_table
from tandem.folds import folds
from tandem.logits import Logits, save_logits
from tandem.metrics import log_loss, softmax, top1_accuracy
from tandem.samples import Samples
from tandem.splits import require_every_class
from tandem.tracking import Epoch, OnEpoch, ignore

__all__ = ["Settings", "Trained", "fit_head", "out_of_fold", "save", "summary", "train"]


@dataclass(frozen=True)
class Trained:
    """A calibrated head, and its logits (N, C) float32 for every row of the features.

    curve: one line an epoch; empty for a head that is fitted whole. chosen: what validation or folds decided.
    """

    head: nn.Module
    logits: np.ndarray
    curve: tuple[Epoch, ...]
    chosen: dict[str, float]


def train(x: np.ndarray, samples: Samples, *, settings: Settings, name: str, on_epoch: OnEpoch = ignore) -> Trained:
    """The head of settings.head on features x, in the order of samples; fitted on train, chosen on val.

    x: (N, D), or (N, k, D) of k views, each of which is a row in training; logits are then means over the views.
    on_epoch: called with each epoch of its curve.
    """
    if settings.head == "logistic":
        _require_every_class(samples)
        own, balanced = _train_rows(x, samples), settings.balance != "none"
        fold_of = _folds(samples, settings).repeat(descent.num_views(x))
        strength = logistic.choose_strength(own.x.numpy(), own.targets.numpy(), fold_of, balanced=balanced)
        return _fit_logistic(x, samples, settings=settings, strength=strength)
    make = {"linear": heads.linear_head, "mlp": heads.mlp_head}[settings.head]
    num_classes = len(samples.class_names)

    def head(train: torch.Tensor) -> nn.Module:
        return make(train, num_classes, dropout=settings.dropout, seed=settings.seed)

    return fit_head(head, x, samples, settings=settings, name=name, on_epoch=on_epoch)


def fit_head(
    make: Callable[[torch.Tensor], nn.Module],
    x: np.ndarray,
    samples: Samples,
    *,
    settings: Settings,
    name: str,
    on_epoch: OnEpoch = ignore,
) -> Trained:
    """The head that `make` makes of the train rows of x, fitted to them by Adam; its best epoch is by val."""
    _require_every_class(samples)
    train, val = (descent.rows(x, samples.rows(split), samples.targets(split)) for split in ("train", "val"))
    head = make(train.x)
    curve = descent.fit(head, train=train, val=val, settings=settings, name=name, on_epoch=on_epoch)
    return _calibrated(head, x, samples, curve=curve, chosen={"best_epoch": descent.best_epoch(curve)})


def out_of_fold(x: np.ndarray, samples: Samples, trained: Trained, *, settings: Settings, name: str) -> np.ndarray:
    """(N, C) float32 logits that no row has shaped by its own label: what may be fitted to on the train rows.

    A train row's are by a head trained without its fold of groups (a logistic one by the strength that all of them
    chose), all others' by the trained head itself. With fewer
    groups of a class than folds, a fold may lack it; its rows then keep the logits of the trained head.
    """
    rows, logits = samples.rows("train"), trained.logits.copy()
    fold_of = _folds(samples, settings)
    for fold in np.unique(fold_of):
        held = rows[fold_of == fold]
        without = samples.without(held)
        if len(np.unique(without.targets("train"))) == len(samples.class_names):
            if settings.head == "logistic":
                part = _fit_logistic(x, without, settings=settings, strength=trained.chosen["strength"])
            else:
                part = train(x, without, settings=settings, name=f"{name}, fold {fold + 1}")
            logits[held] = part.logits[held]
    return logits


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


def _fit_logistic(x: np.ndarray, samples: Samples, *, settings: Settings, strength: float) -> Trained:
    own, balanced = _train_rows(x, samples), settings.balance != "none"
    fitted = logistic.fit(own.x.numpy(), own.targets.numpy(), strength=strength, balanced=balanced)
    return _calibrated(heads.logistic_head(fitted), x, samples, curve=(), chosen={"strength": strength})


def _calibrated(
    head: nn.Module, x: np.ndarray, samples: Samples, *, curve: tuple[Epoch, ...], chosen: dict[str, float]
) -> Trained:
    """The head, its temperature fitted on val, and its logits."""
    inputs = torch.from_numpy(np.array(x, dtype=np.float32))
    logits = descent.predict(head, inputs).numpy()
    temperature = calibration.fit_temperature(logits[samples.rows("val")], target=samples.targets("val"))
    head = heads.Calibrated(head, temperature).eval()
    return Trained(head, descent.predict(head, inputs).numpy(), curve, {**chosen, "temperature": temperature})


def _train_rows(x: np.ndarray, samples: Samples) -> descent.Rows:
    return descent.rows(x, samples.rows("train"), samples.targets("train"))


def _folds(samples: Samples, settings: Settings) -> np.ndarray:
    """(n,) fold of each train row."""
    return folds(samples.targets("train"), samples.groups("train"), num_folds=settings.folds, seed=settings.seed)


def _require_every_class(samples: Samples) -> None:
    labels, parts = [sample.label for sample in samples.samples], [sample.split for sample in samples.samples]
    require_every_class(labels, parts, class_names=samples.class_names)
