"""What all trainings on features share: when they end, which epoch they keep, the lr of the next, class weights."""

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
_MIN_DECREASE = 1e-4  # fraction by which a loss is lower


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
        num_epochs = len(self.curve)
        is_patience_over = num_epochs > 0 and num_epochs - self.best >= self.settings.patience
        return num_epochs >= self.settings.epochs or is_patience_over

    def end_epoch(self, train_loss: float, train_accuracy: float, val_loss: float, val_accuracy: float) -> bool:
        """Log the scores of an epoch; whether it is the best so far. DataError where a loss is not finite."""
        epoch = Epoch(len(self.curve) + 1, self.lr, train_loss, train_accuracy, val_loss, val_accuracy)
        self.curve.append(epoch)
        self.on_epoch(epoch)
        if not math.isfinite(train_loss + val_loss):
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
    lr, lowest, num_bad_epochs = settings.lr, math.inf, 0
    for loss in losses if settings.scheduler == "plateau" else ():
        lowest, num_bad_epochs = (loss, 0) if loss < lowest * (1 - _MIN_DECREASE) else (lowest, num_bad_epochs + 1)
        if num_bad_epochs > _PLATEAU_PATIENCE:
            lr, num_bad_epochs = lr * _PLATEAU_FACTOR, 0
    return lr


def class_weights(targets: np.ndarray, num_classes: int) -> np.ndarray:
    """(C,) float32: inverse frequency of each class among targets (n,), 1 on average over the rows."""
    counts = np.bincount(targets, minlength=num_classes).astype(np.float32)
    return len(targets) / (num_classes * counts)
