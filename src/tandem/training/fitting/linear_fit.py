"""Fit many linear heads at once by Adam, as batched products: each as if it were alone, to the last bit.

A step of one head is hardly more than the calls that it takes; many together share them. The gradient of a softmax
regression is written out, and torch, whose import takes longer than many a training, has no part in it.

lr and weight_decay mean the same for every backbone, however many features D it has. A step of Adam moves all weights
of a class by about the lr, so a logit of standardised features by up to lr * D: as in Yang et al. 2021 (muP, table 3:
output weights under Adam), lr is divided by D, relative to a width. The penalty is that of rows scaled to length 1.
The head is the average of its weights over steps, by which the noise of small batches cancels.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tandem.training.fitting.draws import Draws, draw_epoch
from tandem.training.fitting.early_stopping import BETA1, BETA2, EPSILON, EarlyStopping, average_fraction
from tandem.training.linear import Linear, mean_and_std
from tandem.training.task import Fitted, HeadTask

_BASE_WIDTH = 256  # features of which the weights learn by the lr itself; those of D more by lr * 256 / D


def fit_linear_heads(tasks: Sequence[HeadTask]) -> list[Fitted]:
    """A head for each task. The same task gives the same bytes, whatever it is trained together with.

    Raises DataError when a loss stops being finite.
    """
    by_shape = defaultdict[tuple[float, ...], list[int]](list)
    for number, task in enumerate(tasks):
        shape = (task.table.shape[1], task.num_classes, task.settings.batch_size, task.settings.dropout)
        by_shape[shape].append(number)
    fitted = dict[int, Fitted]()
    # a lr that is too high ends in values that are not finite, which the losses show
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        for numbers in by_shape.values():
            fitted |= zip(numbers, _fit([tasks[number] for number in numbers]), strict=True)
    return [fitted[number] for number in range(len(tasks))]


class _Fit:
    """The fit of one head so far.

    state: (4, C, D + 1) its weights, bias last, their mean gradient and mean square, and the average of the weights.
    """

    def __init__(self, task: HeadTask) -> None:
        self.settings, self.num_classes, self.table = task.settings, task.num_classes, task.table
        self.rows, self.targets = task.rows_of(task.train)
        self.val_features = task.features[task.val.rows]
        self.early_stopping = EarlyStopping(
            task.settings, task.name, task.on_epoch, targets=task.val.targets, groups=task.val.groups
        )
        self.mean, self.std = (part.astype(np.float32) for part in mean_and_std(self.table[self.rows]))
        self.rng, dim = np.random.default_rng(task.settings.seed), self.table.shape[1]
        self.state = np.zeros((4, self.num_classes, dim + 1), np.float32)
        if task.settings.balance == "none":  # the start says of every image how frequent the classes are
            counts = np.bincount(self.targets, minlength=self.num_classes)
            self.state[0, :, -1] = np.log(np.maximum(counts, 1) / counts.mean())
        self.kept_weights, self.num_steps = self.state[0], 0

    def head(self, weights: np.ndarray) -> Linear:
        """The head of weights (C, D + 1)."""
        return Linear(self.mean, self.std, weights[:, :-1].copy(), weights[:, -1].copy())

    def next_epoch(self) -> Draws:
        """Its batches."""
        return draw_epoch(
            self.rows,
            self.targets,
            num_classes=self.num_classes,
            balance=self.settings.balance,
            batch_size=self.settings.batch_size,
            rng=self.rng,
        )

    def end_epoch(self, train_loss: float, train_accuracy: float) -> None:
        """Validate the averaged weights, and keep them if they are to be kept."""
        logits = self.head(self.state[3]).logits(self.val_features)
        if self.early_stopping.end_epoch(train_loss, train_accuracy, logits):
            self.kept_weights = self.state[3]

    def fitted(self) -> Fitted:
        """The head of the kept epoch, and the curve."""
        curve, kept = tuple(self.early_stopping.curve), self.early_stopping.kept
        return Fitted(self.head(self.kept_weights), curve, {"best_epoch": kept})


def _fit(tasks: Sequence[HeadTask]) -> list[Fitted]:
    """Of tasks of one shape."""
    fits = [_Fit(task) for task in tasks]
    name = tasks[0].name if len(tasks) == 1 else f"{tasks[0].name} and {len(tasks) - 1} more"
    with tqdm(total=max(task.settings.epochs for task in tasks), desc=name, unit="epoch", disable=None) as bar:
        while active := [fit for fit in fits if not fit.early_stopping.is_over]:
            for fit, (loss, accuracy) in zip(active, _train_epoch(active), strict=True):
                fit.end_epoch(loss, accuracy)
            bar.update()
            bar.set_postfix(val_loss=f"{fits[0].early_stopping.curve[-1].val_loss:.3f}")
    return [fit.fitted() for fit in fits]


def _train_epoch(fits: Sequence[_Fit]) -> list[tuple[float, float]]:
    """Mean loss and top-1 accuracy of each fit over its batches."""
    epochs = [fit.next_epoch() for fit in fits]
    # those with most steps come first: the fits that have a batch left are the first so many
    order = sorted(range(len(fits)), key=lambda number: -len(epochs[number].rows))
    fits, epochs = [fits[number] for number in order], [epochs[number] for number in order]
    inputs, optimizer, sums = _Inputs(fits), _Adam(fits), np.zeros((len(fits), 2))
    for step in range(len(epochs[0].rows)):
        active = [epoch for epoch in epochs if step < len(epoch.rows)]
        features = inputs.gather([epoch.rows[step] for epoch in active])
        one_hot, loss_weights, sizes = (np.stack([epoch[column][step] for epoch in active]) for column in (1, 2, 3))
        sums[: len(active)] += sizes * optimizer.step(features, one_hot, loss_weights)
    optimizer.finish(fits)
    means = sums / np.array([[epoch.sizes.sum()] for epoch in epochs])
    return [(loss, accuracy) for loss, accuracy in means[np.argsort(order)].tolist()]


class _Inputs:
    """Gathers the rows of a step: standardised, dropped out, and with a 1 at the end for the bias."""

    def __init__(self, fits: Sequence[_Fit]) -> None:
        dim, size, self.dropout = fits[0].table.shape[1], fits[0].settings.batch_size, fits[0].settings.dropout
        self.fits = fits
        self.mean = np.stack([fit.mean for fit in fits])[:, None]
        self.scale = np.stack([fit.std for fit in fits])[:, None] * np.float32(1 - self.dropout)
        self.gathered, self.noise = (np.empty((len(fits), size, dim), np.float32) for _ in range(2))
        self.inputs = np.ones((len(fits), size, dim + 1), np.float32)

    def gather(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """(fits, batch, D + 1) of the first so many fits. rows: row numbers of each, (batch,)."""
        count = len(rows)
        gathered, inputs = self.gathered[:count], self.inputs[:count, :, :-1]
        for fit, numbers, features in zip(self.fits, rows, gathered, strict=False):
            np.take(fit.table, numbers, axis=0, out=features)
        gathered -= self.mean[:count]
        np.divide(gathered, self.scale[:count], out=inputs)
        if self.dropout:
            for fit, noise in zip(self.fits, self.noise[:count], strict=False):
                fit.rng.random(out=noise, dtype=np.float32)
            inputs *= self.noise[:count] >= self.dropout
        return self.inputs[:count]


class _Adam:
    """The weights of several heads and their averages, and steps of Adam on them, with its L2 penalty."""

    def __init__(self, fits: Sequence[_Fit]) -> None:
        self.state = np.stack([fit.state for fit in fits], axis=1)
        self.num_steps = np.array([fit.num_steps for fit in fits])
        dim = fits[0].table.shape[1]
        columns = np.full((2, dim + 1), [[min(1.0, _BASE_WIDTH / dim)], [dim]])
        columns[:, -1] = 1, 0  # of the bias, which is not penalised
        self.lr = np.array([fit.early_stopping.lr for fit in fits])[:, None] * columns[0]
        decay = np.array([fit.settings.weight_decay for fit in fits])[:, None, None]
        self.decay = (decay * columns[1]).astype(np.float32)

    def step(self, features: np.ndarray, one_hot: np.ndarray, loss_weights: np.ndarray) -> np.ndarray:
        """(fits, 2) loss and top-1 accuracy of the first so many fits, before their step."""
        count = len(features)
        weights, mean, square, average = self.state[:, :count]
        logits = features @ weights.swapaxes(1, 2)
        logits -= logits.max(axis=2, keepdims=True)
        probs = np.exp(logits)
        total = probs.sum(axis=2, keepdims=True)
        gradient = ((probs / total - one_hot) * loss_weights).swapaxes(1, 2) @ features
        gradient += self.decay[:count] * weights
        mean += (gradient - mean) * np.float32(1 - BETA1)
        square *= np.float32(BETA2)
        gradient *= gradient
        gradient *= np.float32(1 - BETA2)
        square += gradient
        self.num_steps[:count] += 1
        num_steps = self.num_steps[:count, None]
        _descend(weights, mean, square, lr=self.lr[:count], num_steps=num_steps)
        average += (weights - average) * average_fraction(num_steps).astype(np.float32)[:, None]
        losses = np.log(total[..., 0]) - (logits * one_hot).sum(axis=2)
        is_counted = loss_weights[..., 0] > 0
        is_right = (logits.argmax(axis=2) == one_hot.argmax(axis=2)) & is_counted
        accuracy = is_right.sum(axis=1) / is_counted.sum(axis=1)
        return np.stack([(loss_weights[..., 0] * losses).sum(axis=1), accuracy], axis=1)

    def finish(self, fits: Sequence[_Fit]) -> None:
        """Give the fits their weights back."""
        for number, fit in enumerate(fits):
            fit.state, fit.num_steps = self.state[:, number].copy(), int(self.num_steps[number])


def _descend(
    weights: np.ndarray, mean: np.ndarray, square: np.ndarray, *, lr: np.ndarray, num_steps: np.ndarray
) -> None:
    """Move weights in place by a step of Adam, its means corrected for their bias.

    lr: (fits, D + 1) of each column. num_steps: (fits, 1), this one among them.
    """
    rate = (lr / (1 - BETA1**num_steps)).astype(np.float32)[:, None]
    correction = np.sqrt(1 - BETA2**num_steps).astype(np.float32)[:, None]
    step = np.sqrt(square)
    step /= correction
    step += np.float32(EPSILON)
    np.divide(mean, step, out=step)
    step *= rate
    weights -= step
