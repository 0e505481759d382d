"""The batches of an epoch, as every training by NumPy draws them."""

from typing import NamedTuple

import numpy as np

from tandem.training.fitting.early_stopping import class_weights
from tandem.training.settings import Balance


class Draws(NamedTuple):
    """The batches of an epoch; the last is filled up with rows of no weight.

    rows: (steps, batch) numbers. one_hot: (steps, batch, C) targets. loss_weights: (steps, batch, 1), of each batch 1
    in sum. sizes: (steps, 1) of the batches.
    """

    rows: np.ndarray
    one_hot: np.ndarray
    loss_weights: np.ndarray
    sizes: np.ndarray


def draw_epoch(
    rows: np.ndarray,
    targets: np.ndarray,
    *,
    num_classes: int,
    balance: Balance,
    batch_size: int,
    rng: np.random.Generator,
) -> Draws:
    """rows, targets: (n,) of the train images. balance: see TrainSettings."""
    num_rows = len(targets)
    order, weights = _sample(targets, num_classes=num_classes, balance=balance, rng=rng)
    num_steps = -(-num_rows // batch_size)
    missing = num_steps * batch_size - num_rows
    filled = np.pad(order, (0, missing))
    loss_weights = np.pad(weights, (0, missing)).reshape(num_steps, batch_size, 1)
    one_hot = np.eye(num_classes, dtype=np.float32)[targets[filled]]
    return Draws(
        rows=rows[filled].reshape(num_steps, batch_size),
        one_hot=one_hot.reshape(num_steps, batch_size, num_classes),
        loss_weights=loss_weights / loss_weights.sum(axis=1, keepdims=True),
        sizes=(loss_weights > 0).sum(axis=1),
    )


def _sample(
    targets: np.ndarray, *, num_classes: int, balance: Balance, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) positions among the train rows in a random order, and (n,) the weight of each in the loss."""
    num_rows, weights = len(targets), np.ones(len(targets), np.float32)
    if balance == "none":
        return rng.permutation(num_rows), weights
    by_class = class_weights(targets, num_classes)[targets]
    if balance == "loss":
        order = rng.permutation(num_rows)
        return order, by_class[order]
    odds = by_class.astype(np.float64)
    return rng.choice(num_rows, size=num_rows, p=odds / odds.sum()), weights
