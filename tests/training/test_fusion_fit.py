"""Networks of feature fusion fitted to planted features, each as if it were alone."""

from dataclasses import replace

import numpy as np
import pytest

from factories import blobs, train_settings
from tandem.errors import DataError
from tandem.training.fitting.early_stopping import losses_at_best_temperature
from tandem.training.fusion.fusion_fit import fit_fusions
from tandem.training.settings import TrainSettings
from tandem.training.task import FusionTask, HeadTask, head_task

SETTINGS = train_settings(batch_size=16, epochs=6)


def planted(settings: TrainSettings = SETTINGS, *, num_noise: int = 0) -> HeadTask:
    """Two backbones; the second sees num_noise columns of nothing besides, with which there are fewer images."""
    features, samples = blobs(120, spread=0.7)
    noise = np.random.default_rng(1).normal(size=(len(features), num_noise)).astype(np.float32)
    task = head_task(np.concatenate([features, noise], axis=1), samples, settings, "fused")
    return replace(task, fusion=FusionTask((2, features.shape[1] - 2 + num_noise), 16, 0.5))


def state_of(fitted) -> list[bytes]:
    return [array.tobytes() for array in (fitted.head.mean, fitted.head.std, *fitted.head.arrays)]


@pytest.mark.parametrize("num_noise", [0, 300])
def test_what_is_planted_is_found(num_noise):
    task = planted(replace(SETTINGS, epochs=15), num_noise=num_noise)
    (fitted,) = fit_fusions([task])
    logits = fitted.head.logits(task.features)
    assert (logits[task.val.rows].argmax(axis=1) == task.val.targets).mean() > 0.8
    assert fitted.head.arrays[2].shape == (task.features.shape[1] - 2, 16)
    assert fitted.curve[-1].train_loss < fitted.curve[0].train_loss
    assert 0.6 < fitted.curve[-1].train_top1_accuracy <= 1


@pytest.mark.parametrize("num_noise", [0, 300])
def test_a_network_has_the_same_bytes_alone_and_with_others_that_end_before_it(num_noise):
    settings = [replace(SETTINGS, seed=seed, lr=lr) for seed, lr in ((0, 0.01), (1, 0.01), (0, 0.3))]
    settings.append(replace(SETTINGS, epochs=2))
    settings.append(replace(SETTINGS, batch_size=8))
    task = planted(num_noise=num_noise)
    tasks = [replace(task, settings=each) for each in settings]
    together = fit_fusions(tasks)
    assert [state_of(fitted) for fitted in together] == [state_of(fit_fusions([each])[0]) for each in tasks]
    assert len(together[3].curve) == 2 < len(together[0].curve)
    assert len({tuple(state_of(fitted)) for fitted in together[:3]}) == 3


def test_the_epoch_is_chosen_on_val_by_the_averaged_weights():
    task = planted()
    (fitted,) = fit_fusions([task])
    losses = losses_at_best_temperature(fitted.head.logits(task.features[task.val.rows]), task.val.targets)
    kept = int(fitted.choices["best_epoch"])
    assert losses.mean() == pytest.approx(fitted.curve[kept - 1].val_loss, abs=1e-5)


def test_views_of_an_image_are_rows_in_training_and_their_mean_in_the_logits():
    task = planted()
    views = np.stack([task.features, task.features], axis=1)
    (of_views,) = fit_fusions([replace(task, features=views)])
    assert of_views.head.logits(views).shape == (len(task.features), 3)
    losses = losses_at_best_temperature(of_views.head.logits(views[task.val.rows]), task.val.targets)
    kept = int(of_views.choices["best_epoch"])
    assert losses.mean() == pytest.approx(of_views.curve[kept - 1].val_loss, abs=1e-5)


def test_no_weight_moves_by_no_lr_and_weights_begin_as_torch_s_layers():
    (fitted,) = fit_fusions([planted(replace(SETTINGS, epochs=1, lr=1e-30))])
    weights, biases = fitted.head.arrays[6::4], fitted.head.arrays[7::4]
    for weight, bias in zip(weights, biases, strict=True):
        bound = weight.shape[0] ** -0.5
        assert np.abs(weight).max() <= bound * 1.001
        assert np.abs(bias).max() <= bound * 1.001
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.2)
    assert (fitted.head.arrays[4] == 1).all()
    assert np.abs(fitted.head.arrays[5]).max() < 1e-28


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_lr():
    with pytest.raises(DataError, match=r"fused: the loss is not finite in epoch \d+ \(lr 1e\+38\); take a lower"):
        fit_fusions([planted(replace(SETTINGS, lr=1e38))])
