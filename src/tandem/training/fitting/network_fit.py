"""Fit a network head to features in memory by Adam; the averaged weights of one epoch are kept."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.adam import adam
from tqdm import tqdm

from tandem.files import atomic_file
from tandem.seeding import seeded, single_threaded
from tandem.training.fitting.early_stopping import (
    BETA1,
    BETA2,
    EPSILON,
    EarlyStopping,
    average_fraction,
    class_weights,
)
from tandem.training.networks import TemperatureScaled, mlp_head
from tandem.training.settings import Balance
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
        """Write the arrays of the state dict, by their names, into a folder as network.npz, whole or not at all.

        They are read without torch: by tandem.inference.networks.
        """
        with atomic_file(folder / "network.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **{name: tensor.numpy() for name, tensor in self.net.state_dict().items()})


def fit_network(task: HeadTask) -> Fitted:
    """An MLP fitted to the train images; the epoch that it keeps is by val."""
    rows, targets = task.rows_of(task.train)
    train = Batch(torch.from_numpy(task.table[rows]), torch.from_numpy(targets))
    settings = task.settings
    net = mlp_head(train.features, task.num_classes, dropout=settings.dropout, seed=settings.seed)
    early_stopping = EarlyStopping(settings, task.name, task.on_epoch, targets=task.val.targets, groups=task.val.groups)
    fit_network_head(
        net, train=train, val_features=torch.from_numpy(task.features[task.val.rows]), early_stopping=early_stopping
    )
    return Fitted(NetworkHead(net), tuple(early_stopping.curve), {"best_epoch": early_stopping.kept})


def fit_network_head(
    head: nn.Module, *, train: Batch, val_features: torch.Tensor, early_stopping: EarlyStopping
) -> None:
    """Train `head` in place with Adam and leave it in eval mode with the averaged weights of the epoch that is kept.

    val_features: (n, D), or (n, k, D) of k TTA views, of the images that early_stopping knows; it is left with the
    curve. The same head, features and settings give the same bytes. Raises DataError when the loss stops being finite.
    """
    settings, num_classes = early_stopping.settings, int(train.targets.max()) + 1
    _lay_out(head, by_column=True)
    weight = torch.from_numpy(class_weights(train.targets.numpy(), num_classes)) if settings.balance == "loss" else None
    optimizer = Adam(head, weight_decay=settings.weight_decay)
    generator = torch.Generator().manual_seed(settings.seed)
    kept_state = copy.deepcopy(head.state_dict())
    # dropout samples from the global generator: it gets a seed of its own
    with (
        seeded(settings.seed),
        single_threaded(),
        tqdm(total=settings.epochs, desc=early_stopping.name, unit="epoch", disable=None) as bar,
    ):
        while not early_stopping.is_over:
            order = batches(
                train.targets, balance=settings.balance, batch_size=settings.batch_size, generator=generator
            )
            train_scores = _train_epoch(head, optimizer, train, order, weight=weight, lr=early_stopping.lr)
            with optimizer.averaged():
                val_logits = network_logits(head, val_features).numpy()
                if early_stopping.end_epoch(*train_scores, val_logits):
                    kept_state = copy.deepcopy(head.state_dict())
            bar.update()
            bar.set_postfix(val_loss=f"{early_stopping.curve[-1].val_loss:.3f}")
    head.load_state_dict(kept_state)
    _lay_out(head, by_column=False)
    head.eval()


def _lay_out(net: nn.Module, *, by_column: bool) -> None:
    """Where the weights (out, in) of linear layers lie in memory: column by column, or row by row as torch has them.

    By column, the gradient of a few images is written in the order of their features: of 2,048 of them in a quarter of
    the time, and a step of feature fusion takes a sixth less. No value changes.
    """
    for parameter in net.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.t().contiguous().t() if by_column else parameter.data.contiguous()


def _in_memory(weights: torch.Tensor) -> torch.Tensor:
    """A view of weights in the order in which they lie, for what would copy them first."""
    return weights if weights.is_contiguous() else weights.t()


class Adam:
    """Adam with an L2 penalty by torch's fused step, and the average of the weights over steps; not torch.optim.Adam.

    The first object of that class imports torch's compiler, which takes over a second and computes nothing here.
    """

    def __init__(self, net: nn.Module, *, weight_decay: float) -> None:
        self.parameters, self.weight_decay = list(net.parameters()), weight_decay
        self.means, self.squares = ([torch.zeros_like(_in_memory(p)) for p in self.parameters] for _ in range(2))
        self.steps = [torch.zeros(()) for _ in self.parameters]
        self.averages = [p.detach().clone() for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step along the gradients, which all parameters have."""
        parameters = [_in_memory(parameter) for parameter in self.parameters]
        adam(
            parameters,
            [_in_memory(parameter.grad) for parameter in self.parameters if parameter.grad is not None],
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
        fraction = float(average_fraction(self.steps[0].numpy()))
        torch._foreach_lerp_([_in_memory(average) for average in self.averages], parameters, fraction)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network has its averaged weights, and those of the last step again afterward."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            parameter.data, average.data = average.data, parameter.data


def network_logits(head: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """(n, D) to (n, C) logits in eval mode, without gradients; of (n, k, D), the mean over the k TTA views."""
    head.eval()
    with torch.inference_mode(), single_threaded():
        logits = torch.cat([head(part) for part in features.flatten(0, -2).split(4096)])
        return logits.unflatten(0, features.shape[:-1]).mean(dim=1) if features.ndim == 3 else logits


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
