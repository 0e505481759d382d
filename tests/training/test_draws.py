"""The batches of an epoch: every row once, or classes as often as each other."""

import numpy as np
import pytest

from tandem.training.fitting.draws import draw_epoch
from tandem.training.settings import Balance

TARGETS = np.array([0] * 6 + [1] * 3 + [2])
ROWS = np.arange(100, 110)


def drawn(balance: Balance, *, seed: int = 0, batch_size: int = 4, targets: np.ndarray = TARGETS):
    rows = np.arange(100, 100 + len(targets))
    rng = np.random.default_rng(seed)
    return draw_epoch(rows, targets, num_classes=3, balance=balance, batch_size=batch_size, rng=rng)


@pytest.mark.parametrize("balance", ["none", "loss"])
def test_an_epoch_sees_each_row_once_and_the_last_batch_is_filled_up_with_rows_of_no_weight(balance):
    draws = drawn(balance)
    assert draws.rows.shape == (3, 4)
    assert draws.sizes.ravel().tolist() == [4, 4, 2]
    counted = draws.loss_weights[..., 0] > 0
    assert sorted(draws.rows[counted].tolist()) == ROWS.tolist()
    assert (draws.one_hot[counted].argmax(axis=1) == TARGETS[draws.rows[counted] - 100]).all()
    assert draws.loss_weights.sum(axis=1) == pytest.approx(np.ones((3, 1)))


def test_balance_by_loss_weighs_a_row_as_its_class_is_rare():
    draws = drawn("loss", batch_size=10)
    weights = dict(zip(draws.rows[0].tolist(), draws.loss_weights[0, :, 0].tolist(), strict=True))
    assert weights[109] == pytest.approx(6 * weights[100])
    assert weights[108] == pytest.approx(2 * weights[100])


def test_the_sampler_draws_every_class_as_often():
    targets = np.array([0] * 800 + [1] * 150 + [2] * 50)
    draws = [drawn("sampler", seed=seed, targets=targets, batch_size=50) for seed in range(5)]
    sampled = np.bincount(np.concatenate([targets[each.rows.ravel() - 100] for each in draws])) / 5000
    assert sampled.tolist() == pytest.approx([1 / 3] * 3, abs=4 * (2 / 9 / 5000) ** 0.5)


def test_the_generator_decides_the_order():
    one, again, other = (drawn("none", seed=seed).rows.tolist() for seed in (0, 0, 1))
    assert one == again != other
