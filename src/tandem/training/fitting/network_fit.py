"""Fit a network head to features in memory by Adam; the best epoch by validation loss is kept."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.adam import adam
from tqdm import tqdm

from tandem.seeding import seeded, single_threaded
from tandem.state_files import save_state
from tandem.training.fitting.early_stopping import BETA1, BETA2, EPSILON, EarlyStopping, best_epoch, class_weights
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch
from tandem.training.networks import TemperatureScaled, mlp_head
from tandem.training.settings import Balance, TrainSettings
from tandem.training.task import Fitted, HeadTask


class Batch(NamedTuple):
    """features: (n, D) float32. targets: (n,) int64 class indices."""

    features: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True, eq=False)
class NetworkHead:
    """A network as a head of the pipeline. net: (n, D) to (n, C), in eval mode."""

    net: nn.Module

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, D) float32 to (n, C) float32 logits; of (n, k, D) TTA views, the mean over the k views."""
        return network_logits(self.net, torch.from_numpy(features)).numpy()

    def scaled(self, temperature: float) -> "NetworkHead":
        """The head whose logits are divided by a temperature."""
        return NetworkHead(TemperatureScaled(self.net, temperature).eval())

    def save(self, folder: Path) -> None:
        """Write the state dict into a folder as head.pt, whole or not at all."""
        save_state(self.net.state_dict(), folder / "head.pt")


def fit_network(task: HeadTask) -> Fitted:
    """The network of the task, by default an MLP, fitted to the train images; its best epoch is by val."""
    train, val = (
        Batch(torch.from_numpy(task.table[rows]), torch.from_numpy(targets))
        for rows, targets in (task.rows_of(task.train), task.rows_of(task.val))
    )
    net = task.network(train.features) if task.network else _mlp(task, train.features)
    curve = fit_network_head(net, train=train, val=val, settings=task.settings, name=task.name, on_epoch=task.on_epoch)
    return Fitted(NetworkHead(net), curve, {"best_epoch": best_epoch(curve)})


def _mlp(task: HeadTask, train: torch.Tensor) -> nn.Module:
    return mlp_head(train, task.num_classes, dropout=task.settings.dropout, seed=task.settings.seed)


def fit_network_head(
    head: nn.Module,
    *,
    train: Batch,
    val: Batch,
    settings: TrainSettings,
    name: str,
    on_epoch: EpochLogger = ignore_epoch,
) -> tuple[Epoch, ...]:
    """Train `head` in place with Adam and leave it in eval mode with the weights of its best epoch; the curve, from 1.

    on_epoch: called with each line of the curve as it comes. The same head, features and settings give the same bytes.
    Raises DataError when the loss stops being finite.
    """
    num_classes = int(train.targets.max()) + 1
    weight = torch.from_numpy(class_weights(train.targets.numpy(), num_classes)) if settings.balance == "loss" else None
    optimizer = Adam(head, weight_decay=settings.weight_decay)
    generator = torch.Generator().manual_seed(settings.seed)
    early_stopping, best_state = EarlyStopping(settings, name, on_epoch), copy.deepcopy(head.state_dict())
    # dropout samples from the global generator: it gets a seed of its own
    with (
        seeded(settings.seed),
        single_threaded(),
        tqdm(total=settings.epochs, desc=name, unit="epoch", disable=None) as bar,
    ):
        while not early_stopping.is_over:
            order = batches(
                train.targets, balance=settings.balance, batch_size=settings.batch_size, generator=generator
            )
            train_scores = _train_epoch(head, optimizer, train, order, weight=weight, lr=early_stopping.lr)
            val_loss, val_accuracy = loss_and_accuracy(network_logits(head, val.features), val.targets)
            if early_stopping.end_epoch(*train_scores, val_loss, val_accuracy):
                best_state = copy.deepcopy(head.state_dict())
            bar.update()
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    head.load_state_dict(best_state)
    head.eval()
    return tuple(early_stopping.curve)


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


def network_logits(head: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """(n, D) to (n, C) logits in eval mode, without gradients; of (n, k, D), the mean over the k TTA views."""
    head.eval()
    with torch.inference_mode(), single_threaded():
        logits = torch.cat([head(part) for part in features.flatten(0, -2).split(4096)])
        return logits.unflatten(0, features.shape[:-1]).mean(dim=1) if features.ndim == 3 else logits


def loss_and_accuracy(logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    """Log loss in nats and top-1 accuracy of logits (n, C)."""
    loss = functional.cross_entropy(logits, targets).item()
    return loss, (logits.argmax(1) == targets).float().mean().item()


def batches(
    targets: torch.Tensor, *, balance: Balance, batch_size: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Row numbers of one epoch, a batch at a time; the last batch may be smaller."""
    if balance == "sampler":
        weights = torch.from_numpy(class_weights(targets.numpy(), int(targets.max()) + 1))[targets]
        order = torch.multinomial(weights, len(targets), replacement=True, generator=generator)
    else:
        order = torch.randperm(len(targets), generator=generator)
    yield from order.split(batch_size)


def _train_epoch(
    head: nn.Module,
    optimizer: Adam,
    train: Batch,
    order: Iterator[torch.Tensor],
    *,
    weight: torch.Tensor | None,
    lr: float,
) -> tuple[float, float]:
    """Mean loss and top-1 accuracy over the batches."""
    head.train()
    total_loss = num_right = num_seen = 0.0
    for rows in order:
        logits, targets = head(train.features[rows]), train.targets[rows]
        loss = functional.cross_entropy(logits, targets, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(lr)
        total_loss += loss.item() * len(rows)
        num_right += float((logits.argmax(1) == targets).sum())
        num_seen += len(rows)
    return total_loss / num_seen, num_right / num_seen
