"""Fit a head to feature rows in memory by Adam; the best epoch by validation loss is kept."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.optim.adam import adam
from tqdm import tqdm

from tandem.errors import DataError
from tandem.seeding import one_thread, seeded
from tandem.tracking import Epoch, OnEpoch, ignore

Balance = Literal["sampler", "loss", "none"]
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as Kingma & Ba 2015 and torch have them
# the seed recipe's plateau: divide by five after ten epochs without progress, as torch's ReduceLROnPlateau counts them
_PLATEAU_FACTOR = 0.2
_PLATEAU_PATIENCE = 10
_PROGRESS = 1e-4  # share by which a loss is lower


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


class Progress:
    """The curve of one training so far: what its next lr is, whether it is over, and which epoch is its best."""

    def __init__(self, settings: Settings, name: str, on_epoch: OnEpoch) -> None:
        self.settings, self.name, self.on_epoch = settings, name, on_epoch
        self.curve, self.best = list[Epoch](), 0

    @property
    def lr(self) -> float:
        """Of the next epoch."""
        return lr_after([epoch.val_loss for epoch in self.curve], self.settings)

    @property
    def is_over(self) -> bool:
        """All epochs are done, or patience is at its end."""
        done = len(self.curve)
        return done >= self.settings.epochs or (done > 0 and done - self.best >= self.settings.patience)

    def note(self, loss: float, accuracy: float, val_loss: float, val_accuracy: float) -> bool:
        """Note the scores of an epoch; whether it is the best so far. DataError where a loss is not finite."""
        epoch = Epoch(len(self.curve) + 1, self.lr, loss, accuracy, val_loss, val_accuracy)
        self.curve.append(epoch)
        self.on_epoch(epoch)
        if not math.isfinite(loss + val_loss):
            raise DataError(
                f"{self.name}: the loss is not finite in epoch {epoch.epoch} (lr {epoch.lr}); take a lower train.lr"
            )
        is_best = not self.best or val_loss < self.curve[self.best - 1].val_loss
        self.best = epoch.epoch if is_best else self.best
        return is_best


def fit(
    head: nn.Module, *, train: Rows, val: Rows, settings: Settings, name: str, on_epoch: OnEpoch = ignore
) -> tuple[Epoch, ...]:
    """Train `head` in place with Adam and leave it in eval mode with the weights of its best epoch; the curve, from 1.

    on_epoch: called with each line of the curve as it comes. The same head, rows and settings give the same bytes.
    Raises DataError when the loss stops being finite.
    """
    num_classes = int(train.targets.max()) + 1
    weight = class_weights(train.targets, num_classes) if settings.balance == "loss" else None
    optimizer = Adam(head, weight_decay=settings.weight_decay)
    generator = torch.Generator().manual_seed(settings.seed)
    progress, best_state = Progress(settings, name, on_epoch), copy.deepcopy(head.state_dict())
    # dropout draws from the global generator: it gets a seed of its own
    with seeded(settings.seed), one_thread(), tqdm(total=settings.epochs, desc=name, unit="epoch", disable=None) as bar:
        while not progress.is_over:
            order = batches(
                train.targets, balance=settings.balance, batch_size=settings.batch_size, generator=generator
            )
            trained = _train_epoch(head, optimizer, train, order, weight=weight, lr=progress.lr)
            val_loss, val_accuracy = score(predict(head, val.x), val.targets)
            if progress.note(*trained, val_loss, val_accuracy):
                best_state = copy.deepcopy(head.state_dict())
            bar.update()
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    head.load_state_dict(best_state)
    head.eval()
    return tuple(progress.curve)


class Adam:
    """Adam with an L2 penalty by torch's fused step, and without the class torch.optim.Adam.

    The first object of that class imports torch's compiler, which takes over a second and computes nothing here.
    """

    def __init__(self, net: nn.Module, *, weight_decay: float) -> None:
        self.parameters, self.weight_decay = list(net.parameters()), weight_decay
        self.means, self.squares = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.steps = [torch.zeros(()) for _ in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step along the gradients, which all parameters have."""
        adam(
            [*self.parameters],
            [parameter.grad for parameter in self.parameters if parameter.grad is not None],
            self.means,
            self.squares,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            maximize=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=lr,
            weight_decay=self.weight_decay,
            eps=EPSILON,
        )


def lr_after(losses: Sequence[float], settings: Settings) -> float:
    """The lr of the epoch that follows these validation losses, as torch's schedulers of these names have it."""
    if settings.scheduler == "cosine":
        return settings.lr * (1 + math.cos(math.pi * len(losses) / settings.epochs)) / 2
    lr, lowest, waited = settings.lr, math.inf, 0
    for loss in losses if settings.scheduler == "plateau" else ():
        lowest, waited = (loss, 0) if loss < lowest * (1 - _PROGRESS) else (lowest, waited + 1)
        if waited > _PLATEAU_PATIENCE:
            lr, waited = lr * _PLATEAU_FACTOR, 0
    return lr


def predict(head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(n, D) rows to (n, C) logits in eval mode, without gradients; of (n, k, D), the mean over the k views."""
    head.eval()
    with torch.inference_mode(), one_thread():
        logits = torch.cat([head(part) for part in x.flatten(0, -2).split(4096)])
        return logits.unflatten(0, x.shape[:-1]).mean(dim=1) if x.ndim == 3 else logits


def best_epoch(curve: Sequence[Epoch]) -> int:
    """The number of the epoch with the lowest validation loss, the first of several: the one that a head keeps."""
    return min(curve, key=lambda epoch: epoch.val_loss).epoch


def score(logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    """Log loss in nats and top-1 accuracy of logits (n, C)."""
    loss = functional.cross_entropy(logits, targets).item()
    return loss, (logits.argmax(1) == targets).float().mean().item()


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


def _train_epoch(
    head: nn.Module,
    optimizer: Adam,
    train: Rows,
    order: Iterator[torch.Tensor],
    *,
    weight: torch.Tensor | None,
    lr: float,
) -> tuple[float, float]:
    head.train()
    total_loss = num_right = num_seen = 0.0
    for batch in order:
        logits, targets = head(train.x[batch]), train.targets[batch]
        loss = functional.cross_entropy(logits, targets, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(lr)
        total_loss += loss.item() * len(batch)
        num_right += float((logits.argmax(1) == targets).sum())
        num_seen += len(batch)
    return total_loss / num_seen, num_right / num_seen
