"""Fit many linear heads at once by Adam, as batched products: each as if it were alone, to the last bit.

A step of one head is hardly more than the calls that it takes; many together share them. The gradient of a softmax
regression is written out, so nothing is recorded for autograd.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from tandem.descent import BETA1, BETA2, EPSILON, Progress, Settings, batches, class_weights, score
from tandem.seeding import one_thread
from tandem.tracking import Epoch, OnEpoch, ignore

_WIDTH = 32  # floats: two of the widest registers, by which torch goes through a tensor


class Part(NamedTuple):
    """Rows of a table. x: (N, D) float32, which parts may share. rows: (n,) int64 numbers. targets: (n,) int64."""

    x: torch.Tensor
    rows: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Task:
    """head: of heads.linear_head, trained in place. The rest is as in descent.fit."""

    head: nn.Module
    train: Part
    val: Part
    settings: Settings
    name: str
    on_epoch: OnEpoch = ignore

    @property
    def shape(self) -> tuple[int, int, int, float]:
        """Features, classes, batch size and dropout: what heads that are trained together have in common."""
        num_classes, dim = self.head.get_parameter("2.weight").shape
        dropout = self.head.get_submodule("1")
        assert isinstance(dropout, nn.Dropout)
        return dim, num_classes, self.settings.batch_size, dropout.p


def fit(tasks: Sequence[Task]) -> list[tuple[Epoch, ...]]:
    """Train each head as descent.fit does, but for what dropout draws; the curves in the order of tasks."""
    alike = defaultdict[tuple[float, ...], list[int]](list)
    for number, task in enumerate(tasks):
        alike[task.shape].append(number)
    curves = dict[int, tuple[Epoch, ...]]()
    with one_thread(), torch.no_grad():
        for numbers in alike.values():
            curves |= zip(numbers, _fit([tasks[number] for number in numbers]), strict=True)
    return [curves[number] for number in range(len(tasks))]


class _Running:
    """A head that is being trained. weights: (3, C, W) of it, their mean gradient, their mean square.

    W: D, 1 for the bias, and columns of zeros up to a multiple of _WIDTH: so each head's numbers lie as if it were
    alone, and are rounded in the same way.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.progress = task, Progress(task.settings, task.name, task.on_epoch)
        state = task.head.state_dict()
        self.dim = state["0.mean"].shape[0]
        start = torch.cat([state["2.weight"], state["2.bias"][:, None]], dim=1)
        start = functional.pad(start, (0, -start.shape[1] % _WIDTH))
        self.weights = torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)])
        self.mean, self.std = state["0.mean"], state["0.std"]
        self.best, self.num_steps = start, 0
        self.order = torch.Generator().manual_seed(task.settings.seed)
        self.noise = np.random.default_rng(task.settings.seed)

    def score(self) -> tuple[float, float]:
        """Log loss and top-1 accuracy on validation."""
        weight, bias = self.weights[0, :, : self.dim] / self.std, self.weights[0, :, self.dim]
        x, rows, targets = self.task.val
        logits = [x[part] @ weight.T for part in rows.split(4096)]
        return score(torch.cat(logits) + (bias - weight @ self.mean), targets)

    def finish(self) -> tuple[Epoch, ...]:
        """Give the head the weights of its best epoch."""
        self.task.head.get_parameter("2.weight").copy_(self.best[:, : self.dim])
        self.task.head.get_parameter("2.bias").copy_(self.best[:, self.dim])
        self.task.head.eval()
        return tuple(self.progress.curve)


class _Epoch(NamedTuple):
    """The batches of an epoch; the last is filled up with rows that count nothing.

    rows: (steps, batch) numbers. hot: (steps, batch, C) one-hot targets. share: (steps, batch) of the batch's loss.
    counts: (steps,) rows of each batch.
    """

    rows: torch.Tensor
    hot: torch.Tensor
    share: torch.Tensor
    counts: torch.Tensor


def _fit(tasks: Sequence[Task]) -> list[tuple[Epoch, ...]]:
    """Of tasks of one shape."""
    everything = [_Running(task) for task in tasks]
    name = tasks[0].name if len(tasks) == 1 else f"{tasks[0].name} and {len(tasks) - 1} more"
    with tqdm(total=max(task.settings.epochs for task in tasks), desc=name, unit="epoch", disable=None) as bar:
        while heads := [head for head in everything if not head.progress.is_over]:
            for head, trained in zip(heads, _train_epoch(heads), strict=True):
                if head.progress.note(*trained, *head.score()):
                    head.best = head.weights[0].clone()
            bar.update()
    return [head.finish() for head in everything]


def _train_epoch(heads: Sequence[_Running]) -> list[tuple[float, float]]:
    """Mean loss and top-1 accuracy of each head over its batches."""
    drawn = [(head, _drawn(head)) for head in heads]
    # those with most steps come first: the heads that have a batch left are the first so many
    drawn.sort(key=lambda pair: -len(pair[1].rows))
    own, epochs = zip(*drawn, strict=True)
    inputs, optimizer, sums = _Inputs(own), _Adam(own), torch.zeros(len(own), 2)
    for step in range(len(epochs[0].rows)):
        active = [epoch for epoch in epochs if step < len(epoch.rows)]
        x = inputs.of([epoch.rows[step] for epoch in active])
        hot, share, counts = (torch.stack([epoch[key][step] for epoch in active]) for key in (1, 2, 3))
        sums[: len(active)] += counts[:, None] * optimizer.step(x, hot, share)
    means = sums / torch.stack([epoch.counts.sum() for epoch in epochs])[:, None]
    optimizer.finish(own)
    found = {id(head): (loss, accuracy) for head, (loss, accuracy) in zip(own, means.tolist(), strict=True)}
    return [found[id(head)] for head in heads]


class _Inputs:
    """Gathers the rows of a step: standardised, dropped out, a 1 for the bias, and zeros."""

    def __init__(self, heads: Sequence[_Running]) -> None:
        dim, _, batch_size, self.dropout = heads[0].task.shape
        self.heads = heads
        self.mean, self.std = (
            torch.stack(rows)[:, None] for rows in zip(*((h.mean, h.std) for h in heads), strict=True)
        )
        self.rows = torch.zeros(len(heads), batch_size, heads[0].weights.shape[-1])
        self.rows[:, :, dim] = 1
        self.noise = np.ones((len(heads), batch_size, dim), np.float32)

    def of(self, numbers: Sequence[torch.Tensor]) -> torch.Tensor:
        """(heads, batch, W) of the first so many heads. numbers: of their rows, (batch,) each."""
        count = len(numbers)
        gathered = torch.stack([head.task.train.x[own] for head, own in zip(self.heads, numbers, strict=False)])
        rows = self.rows[:count, :, : gathered.shape[-1]]
        torch.sub(gathered, self.mean[:count], out=rows).div_(self.std[:count])
        if self.dropout:
            for head, noise in zip(self.heads, self.noise[:count], strict=False):
                head.noise.random(out=noise, dtype=np.float32)
            rows.mul_((torch.from_numpy(self.noise[:count]) >= self.dropout) / (1 - self.dropout))
        return self.rows[:count]


class _Adam:
    """The weights of several heads, and steps of Adam on them."""

    def __init__(self, heads: Sequence[_Running]) -> None:
        self.weights = torch.stack([head.weights for head in heads], dim=1)
        self.num_steps = torch.tensor([head.num_steps for head in heads])
        self.lr = torch.tensor([head.progress.lr for head in heads])[:, None, None]
        self.decay = torch.tensor([head.task.settings.weight_decay for head in heads])[:, None, None]

    def step(self, x: torch.Tensor, hot: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """(heads, 2) loss and top-1 accuracy of the first so many heads, before their step."""
        count = len(x)
        own, mean, square = self.weights[:, :count]
        logits = x @ own.mT
        gradient = ((logits.softmax(dim=-1) - hot) * share[..., None]).mT @ x + self.decay[:count] * own
        self.num_steps[:count] += 1
        steps = self.num_steps[:count, None, None]
        mean.lerp_(gradient, 1 - BETA1)
        square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        longest = self.lr[:count] / (1 - BETA1**steps)
        own -= longest * mean / (square.sqrt() / (1 - BETA2**steps).sqrt() + EPSILON)
        loss = -(share * (logits.log_softmax(dim=-1) * hot).sum(dim=-1)).sum(dim=-1)
        is_right = (logits.argmax(dim=-1) == hot.argmax(dim=-1)) & (share > 0)
        return torch.stack([loss, is_right.sum(dim=-1) / (share > 0).sum(dim=-1)], dim=1)

    def finish(self, heads: Sequence[_Running]) -> None:
        """Give the heads their weights back."""
        for head, weights, num_steps in zip(heads, self.weights.unbind(1), self.num_steps.tolist(), strict=True):
            head.weights, head.num_steps = weights, num_steps


def _drawn(head: _Running) -> _Epoch:
    settings, (_, rows, targets) = head.task.settings, head.task.train
    order = torch.cat(list(batches(targets, balance=settings.balance, batch_size=len(targets), generator=head.order)))
    num_classes = head.weights.shape[1]
    weight = torch.ones(len(order))
    if settings.balance == "loss":
        weight = class_weights(targets, num_classes)[targets[order]]
    num_steps = -(-len(order) // settings.batch_size)
    missing = num_steps * settings.batch_size - len(order)
    filled, weight = (functional.pad(values, (0, missing)) for values in (order, weight))
    share = weight.view(num_steps, -1)
    return _Epoch(
        rows=rows[filled].view(num_steps, -1),
        hot=functional.one_hot(targets[filled], num_classes).float().view(num_steps, -1, num_classes),
        share=share / share.sum(dim=1, keepdim=True),
        counts=torch.tensor([settings.batch_size] * (num_steps - 1) + [settings.batch_size - missing]).float(),
    )
