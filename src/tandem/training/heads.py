"""A head on features in memory, calibrated on validation; saved, and summed up for the metrics.

Linear heads need no torch, which is imported where a network is trained and not before.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tandem.evaluation.calibration import apply_temperature, fit_temperature
from tandem.evaluation.metrics import log_loss, top1_accuracy
from tandem.evaluation.scores import predictions_on
from tandem.files import atomic_dir, write_csv, write_json
from tandem.tables.logits import Logits, save_logits
from tandem.tables.samples import Samples
from tandem.tables.splits import stratified_group_folds
from tandem.training.fitting.linear_fit import fit_linear_heads
from tandem.training.fitting.logistic import fit_cv
from tandem.training.fusion.fusion_fit import fit_fusions
from tandem.training.loggers import Epoch
from tandem.training.task import Fitted, Head, HeadTask


@dataclass(frozen=True, eq=False)
class Trained:
    """A calibrated head, and its logits (N, C) float32 of all images.

    curve: one line an epoch; empty without epochs. choices: what validation or folds chose, the temperature last.
    """

    head: Head
    logits: np.ndarray
    curve: tuple[Epoch, ...]
    choices: Mapping[str, float]


def train_head(task: HeadTask) -> Trained:
    """The head of settings.head, fitted on train, chosen and calibrated on val."""
    return train_all([task])[0]


def train_all(tasks: Sequence[HeadTask]) -> list[Trained]:
    """The head of each task's settings.head; those by epochs are trained together, which changes no byte of any."""
    by_kind = defaultdict[str, list[int]](list)
    for number, task in enumerate(tasks):
        by_kind["fusion" if task.fusion else task.settings.head].append(number)
    fitted = dict[int, Fitted]()
    for kind, numbers in by_kind.items():
        fitted |= zip(numbers, HEADS[kind]([tasks[number] for number in numbers]), strict=True)
    return [calibrated(task, fitted[number]) for number, task in enumerate(tasks)]


def calibrated(task: HeadTask, fitted: Fitted) -> Trained:
    """The head at the temperature that val asks for."""
    logits, val = fitted.head.logits(task.features), task.val
    temperature = fit_temperature(logits[val.rows], val.targets)
    choices = {**fitted.choices, "temperature": temperature}
    return Trained(fitted.head.scaled(temperature), apply_temperature(logits, temperature), fitted.curve, choices)


def fit_logistic_head(task: HeadTask, *, soft_targets: np.ndarray | None = None) -> tuple[Fitted, np.ndarray]:
    """A logistic regression, its C by folds of groups, and (n, C) out-of-fold logits of the train images.

    These are by fits without their fold, and nan in a fold without which a class has no image left. soft_targets:
    (n, C) probs that it is fitted to instead of the labels of train.
    """
    rows, targets = task.rows_of(task.train)
    fold_of = train_folds(task).repeat(task.num_views)
    result = fit_cv(
        task.table[rows],
        targets,
        fold_of,
        balanced=task.settings.balance != "none",
        soft_targets=None if soft_targets is None else soft_targets.repeat(task.num_views, axis=0),
    )
    out_of_fold = result.out_of_fold.reshape(-1, task.num_views, task.num_classes).mean(axis=1)
    return Fitted(result.head, choices={"C": result.C}), out_of_fold


def train_folds(task: HeadTask) -> np.ndarray:
    """(n,) fold of each train image, whole groups."""
    train, settings = task.train, task.settings
    return stratified_group_folds(train.targets, train.groups, num_folds=settings.folds, seed=settings.seed)


def _fit_networks(tasks: Sequence[HeadTask]) -> list[Fitted]:
    from tandem.training.fitting.network_fit import fit_network  # which imports torch

    return [fit_network(task) for task in tasks]


HEADS: Mapping[str, Callable[[Sequence[HeadTask]], Sequence[Fitted]]] = {
    "linear": fit_linear_heads,
    "logistic": lambda tasks: [fit_logistic_head(task)[0] for task in tasks],
    "mlp": _fit_networks,
    "fusion": fit_fusions,
}


def head_summary(trained: Trained, samples: Samples) -> dict[str, float]:
    """What was chosen, and log loss and top-1 accuracy on val and on train, for the metrics."""
    summary = dict(trained.choices)
    for name, split in {"val": samples.val, "train": samples.train}.items():
        predictions = predictions_on(split, trained.logits)
        summary |= {f"{name}_loss": log_loss(predictions), f"{name}_top1_accuracy": top1_accuracy(predictions)}
    return summary


def save_head(trained: Trained, samples: Samples, folder: Path, *, out_of_fold: np.ndarray | None = None) -> None:
    """Write `folder`, whole or not at all: head, logits.npz, choices.json, and curves.csv and out_of_fold.npz if any.

    The head is head.npz (see Linear), fusion.npz (see FusionHead), or network.npz (the state dict) of an MLP.
    """
    with atomic_dir(folder) as temporary:
        trained.head.save(temporary)
        write_json(temporary / "choices.json", dict(trained.choices))
        tables = {"logits": trained.logits} | ({} if out_of_fold is None else {"out_of_fold": out_of_fold})
        for stem, values in tables.items():
            save_logits(Logits(samples.ids, samples.class_names, values), temporary / f"{stem}.npz")
        if trained.curve:
            write_csv(temporary / "curves.csv", [asdict(epoch) for epoch in trained.curve])
