"""The study: every model for every pair of learning rate and batch size, on the same rows, in one process.

Each run builds its heads anew from the seed, so no run depends on another; scores are on validation, since a
choice made by them must leave test untouched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from tandem import ensembling, evaluation, training
from tandem.samples import Samples
from tandem.training import Settings


@dataclass(frozen=True)
class Run:
    """One model at one pair. Accuracy and log loss (nats) on validation, train_top1_accuracy on the train rows."""

    model: str
    lr: float
    batch_size: int
    top1_accuracy: float
    log_loss: float
    train_top1_accuracy: float


def study(
    features: Mapping[str, np.ndarray],
    *,
    samples: Samples,
    lrs: Sequence[float],
    batch_sizes: Sequence[int],
    ensemble_dropout: float,
    **settings: Any,
) -> list[Run]:
    """Runs in the order lr, batch size, model. features: backbone -> (N, D), rows in the order of samples.

    settings: the fields of training.Settings that the grid does not vary.
    """
    runs = []
    for lr, batch_size in product(lrs, batch_sizes):
        pair = Settings(lr=lr, batch_size=batch_size, **settings)
        members = {
            name: training.train_linear(x, samples, settings=pair, name=name).logits for name, x in features.items()
        }
        ensembles = ensembling.combine_all(
            features=features, logits=members, samples=samples, settings=replace(pair, dropout=ensemble_dropout)
        )
        logits = members | {kind: made.logits for kind, made in ensembles.items()}
        runs += [_run(name, values, samples, pair) for name, values in logits.items()]
    return runs


def _run(model: str, logits: np.ndarray, samples: Samples, settings: Settings) -> Run:
    scores = evaluation.score(logits, samples, split="val")
    return Run(
        model=model,
        lr=settings.lr,
        batch_size=settings.batch_size,
        top1_accuracy=scores["top1_accuracy"],
        log_loss=scores["log_loss"],
        train_top1_accuracy=evaluation.score(logits, samples, split="train")["top1_accuracy"],
    )
