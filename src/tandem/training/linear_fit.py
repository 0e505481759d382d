"""Fit many linear heads at once by Adam, as batched products: each as if it were alone, to the last bit.

A step of one head is hardly more than the calls that it takes; many together share them. The gradient of a softmax
regression is written out, and torch, whose import takes longer than many a training, has no part in it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tandem.evaluation.metrics import log_loss, softmax, top1_accuracy
from tandem.training.early_stopping import BETA1, BETA2, EPSILON, EarlyStopping, class_weights
from tandem.training.linear import Linear, mean_and_std
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch
from tandem.training.settings import TrainSettings


class LinearRows(NamedTuple):
    """Rows of a table. x: (N, D) float32, which parts may share. rows: (n,) int64 numbers. targets: (n,) int64."""

    x: np.ndarray
    rows: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class LinearTask:
    """What one head is fitted to, and how. Of the settings, `head` has no part in it."""

    train: LinearRows
    val: LinearRows
    num_classes: int
    settings: TrainSettings
    name: str
    on_epoch: EpochLogger = ignore_epoch

    @property
    def shape(self) -> tuple[int, int, int, float]:
        """Features, classes, batch size and dropout: what heads that are trained together have in common."""
        return self.train.x.shape[1], self.num_classes, self.settings.batch_size, self.settings.dropout


class Fitted(NamedTuple):
    """The weights of the best epoch by validation loss, and the curve, from epoch 1."""

    head: Linear
    curve: tuple[Epoch, ...]


def fit_linear_heads(tasks: Sequence[LinearTask]) -> list[Fitted]:
    """A head for each task. The same task gives the same bytes, whatever it is trained together with.

    Raises DataError when a loss stops being finite.
    """
    alike = defaultdict[tuple[float, ...], list[int]](list)
    for number, task in enumerate(tasks):
        alike[task.shape].append(number)
    fitted = dict[int, Fitted]()
    # a lr that is too high ends in values that are not finite, which the losses tell
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        for numbers in alike.values():
            fitted |= zip(numbers, _fit([tasks[number] for number in numbers]), strict=True)
    return [fitted[number] for number in range(len(tasks))]


class _Running:
    """A head that is being trained. weights: (3, C, D + 1) of it, bias last, their mean gradient and mean square."""

    def __init__(self, task: LinearTask) -> None:
        self.task, self.progress = task, EarlyStopping(task.settings, task.name, task.on_epoch)
        self.mean, self.std = (part.astype(np.float32) for part in mean_and_std(task.train.x[task.train.rows]))
        self.rng = np.random.default_rng(task.settings.seed)
        dim, num_classes, *_ = task.shape
        self.weights = np.zeros((3, num_classes, dim + 1), np.float32)
        self.weights[0] = self.rng.uniform(-1, 1, size=(num_classes, dim + 1)) / np.sqrt(dim)  # as torch's nn.Linear
        self.best, self.num_steps = self.weights[0].copy(), 0

    def head(self, weights: np.ndarray) -> Linear:
        """The head of weights (C, D + 1)."""
        return Linear(self.mean, self.std, weights[:, :-1].copy(), weights[:, -1].copy())

    def score(self) -> tuple[float, float]:
        """Log loss and top-1 accuracy on validation."""
        x, rows, targets = self.task.val
        probs = softmax(self.head(self.weights[0]).logits(x[rows]))
        return log_loss(target=targets, probs=probs), top1_accuracy(target=targets, predicted=probs.argmax(axis=1))


class _Epoch(NamedTuple):
    """The batches of an epoch; the last is filled up with rows that count nothing.

    rows: (steps, batch) numbers. hot: (steps, batch, C) one-hot targets. share: (steps, batch, 1) of the batch's loss.
    counts: (steps, 1) rows of each batch.
    """

    rows: np.ndarray
    hot: np.ndarray
    share: np.ndarray
    counts: np.ndarray


def _fit(tasks: Sequence[LinearTask]) -> list[Fitted]:
    """Of tasks of one shape."""
    everything = [_Running(task) for task in tasks]
    name = tasks[0].name if len(tasks) == 1 else f"{tasks[0].name} and {len(tasks) - 1} more"
    with tqdm(total=max(task.settings.epochs for task in tasks), desc=name, unit="epoch", disable=None) as bar:
        while heads := [head for head in everything if not head.progress.is_over]:
            for head, trained in zip(heads, _train_epoch(heads), strict=True):
                if head.progress.note(*trained, *head.score()):
                    head.best = head.weights[0].copy()
            bar.update()
    return [Fitted(each.head(each.best), tuple(each.progress.curve)) for each in everything]


def _train_epoch(heads: Sequence[_Running]) -> list[tuple[float, float]]:
    """Mean loss and top-1 accuracy of each head over its batches."""
    drawn = [(head, _resampled_rows(head)) for head in heads]
    # those with most steps come first: the heads that have a batch left are the first so many
    drawn.sort(key=lambda pair: -len(pair[1].rows))
    own, epochs = zip(*drawn, strict=True)
    inputs, optimizer, sums = _Inputs(own), _Adam(own), np.zeros((len(own), 2))
    for step in range(len(epochs[0].rows)):
        active = [epoch for epoch in epochs if step < len(epoch.rows)]
        x = inputs.of([epoch.rows[step] for epoch in active])
        hot, share, counts = (np.stack([epoch[key][step] for epoch in active]) for key in (1, 2, 3))
        sums[: len(active)] += counts * optimizer.step(x, hot, share)
    optimizer.finish(own)
    means = sums / np.array([[epoch.counts.sum()] for epoch in epochs])
    found = {id(head): (float(loss), float(accuracy)) for head, (loss, accuracy) in zip(own, means, strict=True)}
    return [found[id(head)] for head in heads]


def _resampled_rows(head: _Running) -> _Epoch:
    settings, (_, rows, targets), num_classes = head.task.settings, head.task.train, head.task.num_classes
    num_rows, size = len(targets), settings.batch_size
    weight = np.ones(num_rows, np.float32)
    if settings.balance != "none":
        weight = class_weights(targets, num_classes)[targets]
    if settings.balance == "sampler":
        odds = weight.astype(np.float64)
        order = head.rng.choice(num_rows, size=num_rows, p=odds / odds.sum())
        weight = np.ones(num_rows, np.float32)
    else:
        order = head.rng.permutation(num_rows)
    num_steps = -(-num_rows // size)
    missing = num_steps * size - num_rows
    filled = np.pad(order, (0, missing))
    share = np.pad(weight[order], (0, missing)).reshape(num_steps, size, 1)
    return _Epoch(
        rows=rows[filled].reshape(num_steps, size),
        hot=np.eye(num_classes, dtype=np.float32)[targets[filled]].reshape(num_steps, size, num_classes),
        share=share / share.sum(axis=1, keepdims=True),
        counts=(share > 0).sum(axis=1),
    )


class _Inputs:
    """Gathers the rows of a step: standardised, dropped out, and with a 1 at the end for the bias."""

    def __init__(self, heads: Sequence[_Running]) -> None:
        dim, _, size, self.dropout = heads[0].task.shape
        self.heads = heads
        self.mean = np.stack([head.mean for head in heads])[:, None]
        self.scale = np.stack([head.std for head in heads])[:, None] * np.float32(1 - self.dropout)
        self.gathered, self.noise = (np.empty((len(heads), size, dim), np.float32) for _ in range(2))
        self.rows = np.ones((len(heads), size, dim + 1), np.float32)

    def of(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """(heads, batch, D + 1) of the first so many heads. numbers: of their rows, (batch,) each."""
        count = len(numbers)
        gathered, rows = self.gathered[:count], self.rows[:count, :, :-1]
        for head, own, into in zip(self.heads, numbers, gathered, strict=False):
            np.take(head.task.train.x, own, axis=0, out=into)
        gathered -= self.mean[:count]
        np.divide(gathered, self.scale[:count], out=rows)
        if self.dropout:
            for head, noise in zip(self.heads, self.noise[:count], strict=False):
                head.rng.random(out=noise, dtype=np.float32)
            rows *= self.noise[:count] >= self.dropout
        return self.rows[:count]


class _Adam:
    """The weights of several heads, and steps of Adam on them, with its L2 penalty."""

    def __init__(self, heads: Sequence[_Running]) -> None:
        self.weights = np.stack([head.weights for head in heads], axis=1)
        self.num_steps = np.array([head.num_steps for head in heads])
        self.lr = np.array([head.progress.lr for head in heads])
        self.decay = np.array([head.task.settings.weight_decay for head in heads], np.float32)[:, None, None]

    def step(self, x: np.ndarray, hot: np.ndarray, share: np.ndarray) -> np.ndarray:
        """(heads, 2) loss and top-1 accuracy of the first so many heads, before their step."""
        count = len(x)
        own, mean, square = self.weights[:, :count]
        logits = x @ own.swapaxes(1, 2)
        logits -= logits.max(axis=2, keepdims=True)
        probs = np.exp(logits)
        total = probs.sum(axis=2, keepdims=True)
        gradient = ((probs / total - hot) * share).swapaxes(1, 2) @ x
        gradient += self.decay[:count] * own
        mean += (gradient - mean) * np.float32(1 - BETA1)
        square *= np.float32(BETA2)
        gradient *= gradient
        gradient *= np.float32(1 - BETA2)
        square += gradient
        self.num_steps[:count] += 1
        self._descend(own, mean, square, self.lr[:count], self.num_steps[:count])
        losses = np.log(total[..., 0]) - (logits * hot).sum(axis=2)
        is_right, counts = (logits.argmax(axis=2) == hot.argmax(axis=2)) & (share[..., 0] > 0), (share > 0).sum(axis=1)
        return np.stack([(share[..., 0] * losses).sum(axis=1), is_right.sum(axis=1) / counts[:, 0]], axis=1)

    def _descend(
        self, own: np.ndarray, mean: np.ndarray, square: np.ndarray, lr: np.ndarray, num_steps: np.ndarray
    ) -> None:
        longest = (lr / (1 - BETA1**num_steps)).astype(np.float32)[:, None, None]
        root = np.sqrt(1 - BETA2**num_steps).astype(np.float32)[:, None, None]
        below = np.sqrt(square)
        below /= root
        below += np.float32(EPSILON)
        np.divide(mean, below, out=below)
        below *= longest
        own -= below

    def finish(self, heads: Sequence[_Running]) -> None:
        """Give the heads their weights back."""
        for number, head in enumerate(heads):
            head.weights, head.num_steps = self.weights[:, number].copy(), int(self.num_steps[number])
