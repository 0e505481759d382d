"""What all trainings on feature rows share: their settings, the lr of the next epoch, and when they are over."""

import math
from collections.abc import Sequence

import numpy as np

from tandem.errors import DataError
from tandem.training.loggers import Epoch, EpochLogger
from tandem.training.settings import TrainSettings

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as Kingma & Ba 2015 and torch have them
# the seed recipe's plateau: divide by five after ten epochs without progress, as torch's ReduceLROnPlateau counts them
_PLATEAU_FACTOR = 0.2
_PLATEAU_PATIENCE = 10
_MIN_DECREASE = 1e-4  # share by which a loss is lower


class EarlyStopping:
    """The curve of one training so far: what its next lr is, whether it is over, and which epoch is its best."""

    def __init__(self, settings: TrainSettings, name: str, on_epoch: EpochLogger) -> None:
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


def best_epoch(curve: Sequence[Epoch]) -> int:
    """The number of the epoch with the lowest validation loss, the first of several: the one that a head keeps."""
    return min(curve, key=lambda epoch: epoch.val_loss).epoch


def lr_after(losses: Sequence[float], settings: TrainSettings) -> float:
    """The lr of the epoch that follows these validation losses, as torch's schedulers of these names have it."""
    if settings.scheduler == "cosine":
        return settings.lr * (1 + math.cos(math.pi * len(losses) / settings.epochs)) / 2
    lr, lowest, waited = settings.lr, math.inf, 0
    for loss in losses if settings.scheduler == "plateau" else ():
        lowest, waited = (loss, 0) if loss < lowest * (1 - _MIN_DECREASE) else (lowest, waited + 1)
        if waited > _PLATEAU_PATIENCE:
            lr, waited = lr * _PLATEAU_FACTOR, 0
    return lr


def class_weights(targets: np.ndarray, num_classes: int) -> np.ndarray:
    """(C,) float32: inverse frequency of each class among targets (n,), 1 on average over the rows."""
    counts = np.bincount(targets, minlength=num_classes).astype(np.float32)
    return len(targets) / (num_classes * counts)
