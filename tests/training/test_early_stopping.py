"""The end of a training, its best epoch, its lr against torch's own schedulers, the weights of classes."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from factories import train_settings
from tandem.errors import DataError
from tandem.training.fitting.early_stopping import EarlyStopping, best_epoch, class_weights, lr_after
from tandem.training.loggers import Epoch, ignore_epoch
from tandem.training.settings import TrainSettings

LOSSES = [0.9, 0.7, 0.8, 0.7, 0.75, 0.76, 0.6, 0.65]


def trained(losses: list[float], settings: TrainSettings) -> EarlyStopping:
    """On a validation loss an epoch, until it is over."""
    early_stopping = EarlyStopping(settings, "planted", ignore_epoch)
    for loss in losses:
        if not early_stopping.is_over:
            early_stopping.end_epoch(1.0, 0.5, loss, 0.5)
    return early_stopping


@pytest.mark.parametrize(("patience", "num_epochs"), [(1, 3), (2, 4), (4, 6), (5, 8)])
def test_training_ends_after_so_many_epochs_without_a_lower_loss(patience: int, num_epochs: int) -> None:
    assert len(trained(LOSSES, train_settings(epochs=100, patience=patience)).curve) == num_epochs


def test_training_ends_when_all_epochs_are_done() -> None:
    early_stopping = trained(LOSSES, train_settings(epochs=4))
    assert [epoch.epoch for epoch in early_stopping.curve] == [1, 2, 3, 4]
    assert early_stopping.is_over


def test_the_best_epoch_is_the_first_with_the_lowest_loss() -> None:
    early_stopping = EarlyStopping(train_settings(epochs=10), "planted", ignore_epoch)
    is_best = [early_stopping.end_epoch(1.0, 0.5, loss, 0.5) for loss in LOSSES[:6]]
    assert is_best == [True, True, False, False, False, False]
    assert early_stopping.best == best_epoch(early_stopping.curve) == 2


@pytest.mark.parametrize("losses", [(math.nan, 0.5), (0.5, math.inf)])
def test_a_loss_that_is_not_finite_names_the_training_and_the_lr_and_is_logged(losses: tuple[float, float]) -> None:
    logged = list[Epoch]()
    early_stopping = EarlyStopping(train_settings(lr=0.5), "planted", logged.append)
    with pytest.raises(DataError, match=r"planted: the loss is not finite in epoch 1 \(lr 0\.5\); take a lower"):
        early_stopping.end_epoch(losses[0], 0.5, losses[1], 0.5)
    assert [epoch.epoch for epoch in logged] == [1]


def test_without_a_scheduler_the_lr_stays() -> None:
    assert lr_after([0.5] * 50, train_settings(lr=0.3)) == 0.3


def test_the_cosine_lr_is_that_of_torch() -> None:
    settings = train_settings(scheduler="cosine", epochs=12)
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    scheduler = CosineAnnealingLR(optimizer, T_max=12)
    for num_epochs in range(12):
        assert lr_after([1.0] * num_epochs, settings) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


def test_the_plateau_lr_is_that_of_torch_and_falls_to_a_fifth_after_ten_epochs_without_progress() -> None:
    settings = train_settings(scheduler="plateau", lr=0.1)
    losses = [1.0, 0.9, *[0.95] * 20, 0.8, *[0.9, 0.79999] * 12]
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    scheduler = ReduceLROnPlateau(optimizer, factor=0.2, patience=10)
    for num_epochs, loss in enumerate(losses):
        assert lr_after(losses[:num_epochs], settings) == pytest.approx(optimizer.param_groups[0]["lr"])
        scheduler.step(loss)
    assert lr_after(losses, settings) == pytest.approx(settings.lr / 125)


@pytest.mark.parametrize(("decrease", "factor"), [(0.0002, 1), (0.005, 1), (0.00005, 0.2)])
def test_progress_is_a_loss_that_is_lower_by_a_ten_thousandth(decrease: float, factor: float) -> None:
    losses = [(1 - decrease) ** epoch for epoch in range(12)]
    steps = losses if factor == 1 else [1.0, *[1 - decrease] * 11]
    assert lr_after(steps, train_settings(scheduler="plateau", lr=0.1)) == pytest.approx(0.1 * factor)


def test_class_weights_are_the_balanced_ones_of_scikit_learn() -> None:
    targets = np.array([0] * 18 + [1] * 2 + [2] * 10)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert class_weights(targets, 3) == pytest.approx(expected)
