"""Train a head on feature rows that are held in memory; the best epoch by validation loss is kept."""

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from tandem import heads
from tandem.errors import DataError
from tandem.files import whole_file, whole_folder, write_csv
from tandem.logits import Logits, save_logits
from tandem.samples import Samples
from tandem.seeding import one_thread, seeded
from tandem.splits import require_every_class

# the seed recipe's plateau: divide by five after ten epochs without progress
_PLATEAU_FACTOR = 0.2
_PLATEAU_PATIENCE = 10


class Rows(NamedTuple):
    """x: (n, D) float32. targets: (n,) int64 class indices."""

    x: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Settings:
    """lr: of Adam. balance: "sampler" draws classes equally often, "loss" weighs them, "none" does neither."""

    lr: float
    batch_size: int
    epochs: int
    weight_decay: float
    dropout: float
    scheduler: Literal["plateau", "cosine", "none"]
    balance: Literal["sampler", "loss", "none"]
    seed: int


@dataclass(frozen=True)
class Epoch:
    """One line of a training curve. Losses in nats, accuracies in [0, 1]; train's are means over its batches."""

    epoch: int
    lr: float
    train_loss: float
    train_top1_accuracy: float
    val_loss: float
    val_top1_accuracy: float


@dataclass(frozen=True)
class History:
    """epochs: one line each, from 1; the head has the weights of the best one."""

    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch with the lowest validation loss, the first of several."""
        return min(self.epochs, key=lambda epoch: epoch.val_loss)

    def summary(self) -> dict[str, float]:
        """The best epoch and its scores on validation, and on train by the same weights' epoch, for the metrics."""
        best = self.best
        return {
            "best_epoch": best.epoch,
            "val_loss": best.val_loss,
            "val_top1_accuracy": best.val_top1_accuracy,
            "train_loss": best.train_loss,
            "train_top1_accuracy": best.train_top1_accuracy,
        }

    def table(self) -> list[dict[str, float]]:
        """One dict an epoch, for a CSV file."""
        return [asdict(epoch) for epoch in self.epochs]


@dataclass(frozen=True)
class Trained:
    """A head, how its training went, and its logits (N, C) float32 for every row of the features."""

    head: nn.Module
    history: History
    logits: np.ndarray


def train_linear(x: np.ndarray, samples: Samples, *, settings: Settings, name: str) -> Trained:
    """A linear head on (N, D) features, rows in the order of samples; fitted on train, chosen on val."""
    train = rows(x, samples.rows("train"), samples.targets("train"))
    head = heads.linear_head(train.x, len(samples.class_names), dropout=settings.dropout, seed=settings.seed)
    return train_head(head, x, samples, settings=settings, name=name)


def train_head(head: nn.Module, x: np.ndarray, samples: Samples, *, settings: Settings, name: str) -> Trained:
    """`head` fitted on the train rows of x (N, D), its best epoch chosen on val."""
    labels, parts = [sample.label for sample in samples.samples], [sample.split for sample in samples.samples]
    require_every_class(labels, parts, class_names=samples.class_names)
    train, val = (rows(x, samples.rows(split), samples.targets(split)) for split in ("train", "val"))
    history = fit(head, train=train, val=val, settings=settings, name=name)
    return Trained(head, history, predict(head, torch.from_numpy(np.array(x, dtype=np.float32))).numpy())


def save(trained: Trained, samples: Samples, folder: Path) -> None:
    """Write `folder`, whole or not at all: head.pt (state dict), logits.npz, curves.csv."""
    with whole_folder(folder) as temporary:
        save_head(trained.head, temporary / "head.pt")
        save_logits(Logits(tuple(samples.ids), samples.class_names, trained.logits), temporary / "logits.npz")
        write_csv(temporary / "curves.csv", [field.name for field in fields(Epoch)], trained.history.table())


def rows(x: np.ndarray, numbers: np.ndarray, targets: np.ndarray) -> Rows:
    """The rows `numbers` of x as tensors."""
    return Rows(torch.from_numpy(np.ascontiguousarray(x[numbers], dtype=np.float32)), torch.from_numpy(targets))


def fit(head: nn.Module, *, train: Rows, val: Rows, settings: Settings, name: str) -> History:
    """Train `head` in place with Adam and leave it in eval mode with the weights of its best epoch.

    The same head, rows and settings give the same bytes. Raises DataError when the loss stops being finite.
    """
    num_classes = int(train.targets.max()) + 1
    weight = _class_weights(train.targets, num_classes) if settings.balance == "loss" else None
    optimizer = torch.optim.Adam(head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    scheduler = _scheduler(optimizer, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    best_state, best_loss, epochs = copy.deepcopy(head.state_dict()), float("inf"), []
    # dropout draws from the global generator: it gets a seed of its own
    bar = tqdm(range(1, settings.epochs + 1), name, unit="epoch", disable=None)
    with seeded(settings.seed), one_thread(), bar:
        for number in bar:
            lr = optimizer.param_groups[0]["lr"]
            loss, accuracy = _train_epoch(head, optimizer, train, _batches(train.targets, settings, generator), weight)
            val_loss, val_accuracy = _score(predict(head, val.x), val.targets)
            epochs.append(Epoch(number, lr, loss, accuracy, val_loss, val_accuracy))
            if not np.isfinite(loss + val_loss):
                raise DataError(f"{name}: the loss is not finite in epoch {number} (lr {lr}); take a lower train.lr")
            if val_loss < best_loss:
                best_state, best_loss = copy.deepcopy(head.state_dict()), val_loss
            _step(scheduler, val_loss)
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    head.load_state_dict(best_state)
    head.eval()
    return History(tuple(epochs))


def predict(head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(n, D) rows to (n, C) logits in eval mode, without gradients."""
    head.eval()
    with torch.inference_mode(), one_thread():
        return torch.cat([head(part) for part in x.split(4096)])


def save_head(head: nn.Module, path: Path) -> None:
    """Write the head's state dict, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        torch.save(head.state_dict(), file)


def _train_epoch(
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Rows,
    batches: Iterator[torch.Tensor],
    weight: torch.Tensor | None,
) -> tuple[float, float]:
    head.train()
    total_loss = num_right = num_seen = 0.0
    for batch in batches:
        logits, targets = head(train.x[batch]), train.targets[batch]
        loss = functional.cross_entropy(logits, targets, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(batch)
        num_right += float((logits.argmax(1) == targets).sum())
        num_seen += len(batch)
    return total_loss / num_seen, num_right / num_seen


def _batches(targets: torch.Tensor, settings: Settings, generator: torch.Generator) -> Iterator[torch.Tensor]:
    if settings.balance == "sampler":
        weights = _class_weights(targets, int(targets.max()) + 1)[targets]
        order = torch.multinomial(weights, len(targets), replacement=True, generator=generator)
    else:
        order = torch.randperm(len(targets), generator=generator)
    yield from order.split(settings.batch_size)


def _class_weights(targets: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Inverse frequency, 1 on average over the rows."""
    counts = torch.bincount(targets, minlength=num_classes).float()
    return len(targets) / (num_classes * counts)


def _score(logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    loss = functional.cross_entropy(logits, targets).item()
    return loss, (logits.argmax(1) == targets).float().mean().item()


def _scheduler(optimizer: torch.optim.Optimizer, settings: Settings) -> LRScheduler:
    if settings.scheduler == "plateau":
        return ReduceLROnPlateau(optimizer, factor=_PLATEAU_FACTOR, patience=_PLATEAU_PATIENCE)
    if settings.scheduler == "cosine":
        return CosineAnnealingLR(optimizer, T_max=settings.epochs)
    return LambdaLR(optimizer, lambda _: 1.0)


def _step(scheduler: LRScheduler, val_loss: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(val_loss)
    else:
        scheduler.step()
