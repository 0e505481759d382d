"""What all trainings on features share: when they end, which epoch is kept, averages of weights, lr, class weights."""

import math
from collections.abc import Sequence

import numpy as np

from tandem.errors import DataError
from tandem.evaluation.calibration import max_likelihood_temperature
from tandem.evaluation.metrics import log_losses, predict
from tandem.training.averaging import NUM_STANDARD_ERRORS, standard_error
from tandem.training.loggers import Epoch, EpochLogger
from tandem.training.settings import TrainSettings

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as Kingma & Ba 2015 and torch have them
# the seed recipe's plateau: divide by five after ten epochs without progress, as torch's ReduceLROnPlateau counts them
_PLATEAU_FACTOR = 0.2
_PLATEAU_PATIENCE = 10
_MIN_DECREASE = 1e-4  # fraction by which a loss is lower
_AVERAGE_POWER = 3  # of the number of a step, its weight in the average: about the last quarter of the steps


class EarlyStopping:
    """The curve of one training so far: what its next lr is, whether it is over, and which epoch it keeps.

    The last epoch is kept that is not clearly worse than the one with the lowest validation loss: of few validation
    images chance alone decides which epoch that is. targets, groups: (n,) of the validation images.
    """

    def __init__(
        self, settings: TrainSettings, name: str, on_epoch: EpochLogger, *, targets: np.ndarray, groups: np.ndarray
    ) -> None:
        self.settings, self.name, self.on_epoch = settings, name, on_epoch
        self.targets, self.groups = targets, groups
        self.curve, self.kept = list[Epoch](), 0
        self._lowest = np.full(len(targets), np.inf)  # losses of the images in the epoch with the lowest mean

    @property
    def lr(self) -> float:
        """Of the next epoch."""
        return lr_after([epoch.val_loss for epoch in self.curve], self.settings)

    @property
    def is_over(self) -> bool:
        """All epochs are done, or patience is at its end."""
        num_epochs = len(self.curve)
        return num_epochs >= self.settings.epochs or num_epochs - self.kept >= self.settings.patience

    def end_epoch(self, train_loss: float, train_accuracy: float, val_logits: np.ndarray) -> bool:
        """Log the scores of an epoch; whether it is to be kept instead of an earlier one.

        val_logits: (n, C). What they lose counts at their best temperature, by which a head is calibrated in the end:
        a head that has only become too sure of itself is no worse. DataError where a loss is not finite.
        """
        is_finite = math.isfinite(train_loss) and bool(np.isfinite(val_logits).all())
        losses = (
            losses_at_best_temperature(val_logits, self.targets) if is_finite else np.full(len(self.targets), np.nan)
        )
        val_loss, is_right = float(losses.mean()), val_logits.argmax(axis=1) == self.targets
        epoch = Epoch(len(self.curve) + 1, self.lr, train_loss, train_accuracy, val_loss, float(is_right.mean()))
        self.curve.append(epoch)
        self.on_epoch(epoch)
        if not is_finite:
            raise DataError(
                f"{self.name}: the loss is not finite in epoch {epoch.epoch} (lr {epoch.lr}); take a lower train.lr"
            )
        if epoch.epoch > 1 and is_clearly_worse(losses, self._lowest, self.groups):
            return False
        self.kept = epoch.epoch
        self._lowest = losses if val_loss < self._lowest.mean() else self._lowest
        return True


def losses_at_best_temperature(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) log loss of each row of logits (n, C) divided by the temperature that fits them best, in nats."""
    return log_losses(predict(logits / max_likelihood_temperature(logits, targets), targets))


def is_clearly_worse(losses: np.ndarray, lowest: np.ndarray, groups: np.ndarray) -> bool:
    """Whether the mean of losses (n,) is above that of `lowest` by more than two standard errors of the difference.

    groups: (n,); images of a group are not independent.
    """
    difference = losses - lowest
    return bool(difference.mean() > NUM_STANDARD_ERRORS * standard_error(difference, groups))


def average_fraction(num_steps: np.ndarray) -> np.ndarray:
    """How far the average of the weights moves to the weights after so many steps, in (0, 1]; 1 after the first.

    Averaging with polynomial decay (Shamir & Zhang 2013): a step counts by the third power of its number, about.
    """
    return (1 + _AVERAGE_POWER) / (num_steps + _AVERAGE_POWER)


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
