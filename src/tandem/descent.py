"""Fit a head to feature rows in memory by Adam; the best epoch by validation loss is kept."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from tandem.errors import DataError
from tandem.seeding import one_thread, seeded
from tandem.tracking import Epoch, OnEpoch, ignore

Balance = Literal["sampler", "loss", "none"]
# the seed recipe's plateau: divide by five after ten epochs without progress
_PLATEAU_FACTOR = 0.2
_PLATEAU_PATIENCE = 10


class Rows(NamedTuple):
    """x: (n, D) float32. targets: (n,) int64 class indices."""

    x: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Settings:
    """lr: of Adam. balance: "sampler" draws classes equally often, "loss" weighs them, "none" does neither.

    patience: training ends after so many epochs without a lower validation loss. head: of one backbone; "logistic"
    is fitted whole, and of these settings it knows balance, folds and seed alone. folds: of the train groups.
    """

    head: Literal["linear", "logistic", "mlp"]
    lr: float
    batch_size: int
    epochs: int
    patience: int
    weight_decay: float
    dropout: float
    scheduler: Literal["plateau", "cosine", "none"]
    balance: Balance
    folds: int
    seed: int

    @classmethod
    def from_params(cls, section: Mapping[str, Any]) -> "Settings":
        """The settings of the section `train`, less what is of backbones."""
        return cls(**{key: value for key, value in section.items() if key != "trainable_backbone_layers"})


def rows(x: np.ndarray, numbers: np.ndarray, targets: np.ndarray) -> Rows:
    """The rows `numbers` of x (N, D) or (N, k, D) as tensors; each of k views is a row, with its picture's target."""
    picked = np.ascontiguousarray(x[numbers], dtype=np.float32)
    flat = picked.reshape(-1, picked.shape[-1])
    return Rows(torch.from_numpy(flat), torch.from_numpy(targets.repeat(num_views(x))))


def num_views(x: np.ndarray) -> int:
    """k of (N, k, D), 1 of (N, D)."""
    return x.shape[1] if x.ndim == 3 else 1


def fit(
    head: nn.Module, *, train: Rows, val: Rows, settings: Settings, name: str, on_epoch: OnEpoch = ignore
) -> tuple[Epoch, ...]:
    """Train `head` in place with Adam and leave it in eval mode with the weights of its best epoch; the curve, from 1.

    on_epoch: called with each line of the curve as it comes. The same head, rows and settings give the same bytes.
    Raises DataError when the loss stops being finite.
    """
    num_classes = int(train.targets.max()) + 1
    weight = class_weights(train.targets, num_classes) if settings.balance == "loss" else None
    optimizer = torch.optim.Adam(head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    scheduler = _scheduler(optimizer, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    best_state, best_loss, best_epoch, epochs = copy.deepcopy(head.state_dict()), float("inf"), 0, list[Epoch]()
    # dropout draws from the global generator: it gets a seed of its own
    bar = tqdm(range(1, settings.epochs + 1), name, unit="epoch", disable=None)
    with seeded(settings.seed), one_thread(), bar:
        for number in bar:
            lr = optimizer.param_groups[0]["lr"]
            order = batches(
                train.targets, balance=settings.balance, batch_size=settings.batch_size, generator=generator
            )
            loss, accuracy = _train_epoch(head, optimizer, train, order, weight)
            val_loss, val_accuracy = _score(predict(head, val.x), val.targets)
            epochs.append(Epoch(number, lr, loss, accuracy, val_loss, val_accuracy))
            on_epoch(epochs[-1])
            if not np.isfinite(loss + val_loss):
                raise DataError(f"{name}: the loss is not finite in epoch {number} (lr {lr}); take a lower train.lr")
            if val_loss < best_loss:
                best_state, best_loss, best_epoch = copy.deepcopy(head.state_dict()), val_loss, number
            elif number - best_epoch >= settings.patience:
                break
            _step(scheduler, val_loss)
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    head.load_state_dict(best_state)
    head.eval()
    return tuple(epochs)


def predict(head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(n, D) rows to (n, C) logits in eval mode, without gradients; of (n, k, D), the mean over the k views."""
    head.eval()
    with torch.inference_mode(), one_thread():
        logits = torch.cat([head(part) for part in x.flatten(0, -2).split(4096)])
        return logits.unflatten(0, x.shape[:-1]).mean(dim=1) if x.ndim == 3 else logits


def best_epoch(curve: Sequence[Epoch]) -> int:
    """The number of the epoch with the lowest validation loss, the first of several: the one that a head keeps."""
    return min(curve, key=lambda epoch: epoch.val_loss).epoch


def _train_epoch(
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Rows,
    order: Iterator[torch.Tensor],
    weight: torch.Tensor | None,
) -> tuple[float, float]:
    head.train()
    total_loss = num_right = num_seen = 0.0
    for batch in order:
        logits, targets = head(train.x[batch]), train.targets[batch]
        loss = functional.cross_entropy(logits, targets, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(batch)
        num_right += float((logits.argmax(1) == targets).sum())
        num_seen += len(batch)
    return total_loss / num_seen, num_right / num_seen


def batches(
    targets: torch.Tensor, *, balance: Balance, batch_size: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Row numbers of one epoch, a batch at a time; the last batch may be smaller."""
    if balance == "sampler":
        weights = class_weights(targets, int(targets.max()) + 1)[targets]
        order = torch.multinomial(weights, len(targets), replacement=True, generator=generator)
    else:
        order = torch.randperm(len(targets), generator=generator)
    yield from order.split(batch_size)


def class_weights(targets: torch.Tensor, num_classes: int) -> torch.Tensor:
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
