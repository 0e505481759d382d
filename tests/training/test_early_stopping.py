"""The end of a training, its best epoch, its lr against torch's own schedulers, the weights of classes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import entropy, sem
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from factories import train_settings
from tandem.errors import DataError
from tandem.training.fitting.early_stopping import (
    EarlyStopping,
    average_fraction,
    class_weights,
    is_clearly_worse,
    lr_after,
)
from tandem.training.loggers import Epoch, ignore_epoch
from tandem.training.settings import TrainSettings

TARGETS = np.zeros(100, dtype=np.int64)
GROUPS = np.arange(100).astype(np.str_)


def wrong_on(*images: int, sure: float = 2.0) -> np.ndarray:
    """(100, 2) logits that are wrong on these images, and as sure of all."""
    logits = np.tile(np.float32([sure, 0]), (100, 1))
    logits[list(images)] = logits[list(images), ::-1]
    return logits


def early_stopping_of(settings: TrainSettings, groups: np.ndarray = GROUPS) -> EarlyStopping:
    return EarlyStopping(settings, "planted", ignore_epoch, targets=TARGETS, groups=groups)


def trained(epochs: Sequence[np.ndarray], settings: TrainSettings, groups: np.ndarray = GROUPS) -> EarlyStopping:
    """With these validation logits after each epoch, until it is over."""
    early_stopping = early_stopping_of(settings, groups)
    for logits in epochs:
        if not early_stopping.is_over:
            early_stopping.end_epoch(1.0, 0.5, logits)
    return early_stopping


BAD, GOOD = wrong_on(*range(30)), wrong_on(*range(10))


@pytest.mark.parametrize(("patience", "num_epochs"), [(1, 3), (2, 4), (4, 6), (5, 8)])
def test_training_ends_after_so_many_epochs_with_a_clearly_higher_loss(patience: int, num_epochs: int) -> None:
    ended = trained([BAD, GOOD, BAD, BAD, BAD, BAD, GOOD, BAD], train_settings(epochs=8, patience=patience))
    assert (len(ended.curve), ended.kept) == (num_epochs, 2 if patience < 5 else 7)


def test_training_ends_when_all_epochs_are_done() -> None:
    early_stopping = trained([GOOD] * 9, train_settings(epochs=4))
    assert [epoch.epoch for epoch in early_stopping.curve] == [1, 2, 3, 4]
    assert early_stopping.is_over


def test_a_first_epoch_that_is_better_by_chance_alone_is_not_kept() -> None:
    # each epoch is wrong on ten or eleven other images: the difference of one is far below two standard errors of 9
    epochs = [wrong_on(*range(10)), *(wrong_on(*range(start, start + 11)) for start in (20, 40, 60, 80))]
    early_stopping = trained(epochs, train_settings(epochs=5, patience=2))
    losses = [epoch.val_loss for epoch in early_stopping.curve]
    assert losses.index(min(losses)) == 0
    assert early_stopping.kept == 5


def test_an_epoch_is_held_against_the_one_with_the_lowest_loss_and_not_against_the_last_that_was_kept() -> None:
    # each is wrong on three more images than the one before: alone no clear difference, in sum one
    epochs = [wrong_on(*range(num_wrong)) for num_wrong in (10, 13, 16)]
    assert trained(epochs, train_settings(epochs=3)).kept == 2
    assert trained(epochs[1:], train_settings(epochs=2)).kept == 2


def test_images_of_one_group_count_as_one() -> None:
    epochs = [wrong_on(*range(10)), wrong_on(*range(16))]
    assert trained(epochs, train_settings(epochs=2)).kept == 1
    frames_of_a_video = np.where((np.arange(100) >= 10) & (np.arange(100) < 16), "video", GROUPS)
    assert trained(epochs, train_settings(epochs=2), frames_of_a_video).kept == 2


def test_a_head_that_has_only_become_too_sure_of_itself_is_no_worse() -> None:
    early_stopping = trained([wrong_on(*range(10), sure=sure) for sure in (1.0, 5.0, 25.0)], train_settings(epochs=3))
    assert early_stopping.kept == 3
    # at the best temperature the probs are how often it is right
    assert [epoch.val_loss for epoch in early_stopping.curve] == pytest.approx([entropy([0.1, 0.9])] * 3, rel=1e-5)


def test_the_standard_error_is_that_of_a_mean_over_images_that_are_each_a_group() -> None:
    rng = np.random.default_rng(0)
    lowest, noise = rng.random(400), rng.normal(size=400)
    error = sem(noise, ddof=0)
    for factor, expected in ((0.99, False), (1.01, True)):
        assert is_clearly_worse(lowest + noise - noise.mean() + 2 * factor * error, lowest, np.arange(400)) == expected


def test_the_average_counts_a_step_by_about_the_third_power_of_its_number() -> None:
    average, weight = 0.0, np.zeros(1000)
    for step in range(1000):
        fraction = float(average_fraction(np.array(step + 1)))
        weight *= 1 - fraction
        weight[step] = fraction
        average += (step - average) * fraction
    assert weight.sum() == pytest.approx(1)
    assert weight[499] / weight[999] == pytest.approx(0.5**3, rel=0.01)
    assert average == pytest.approx(0.8 * 999, rel=0.01)


@pytest.mark.parametrize(("loss", "logit"), [(math.nan, 0.5), (math.inf, 0.5), (0.5, math.inf), (0.5, math.nan)])
def test_a_loss_that_is_not_finite_names_the_training_and_the_lr_and_is_logged(loss: float, logit: float) -> None:
    logged, logits = list[Epoch](), GOOD.copy()
    logits[3, 0] = logit
    early_stopping = EarlyStopping(train_settings(lr=0.5), "planted", logged.append, targets=TARGETS, groups=GROUPS)
    with pytest.raises(DataError, match=r"planted: the loss is not finite in epoch 1 \(lr 0\.5\); take a lower"):
        early_stopping.end_epoch(loss, 0.5, logits)
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
