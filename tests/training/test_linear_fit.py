"""Linear heads that are trained together, against each alone, autograd with torch's own Adam, and counted work."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from factories import train_settings
from tandem.errors import DataError
from tandem.tables.samples import Split
from tandem.training.fitting import linear_fit
from tandem.training.fitting.linear_fit import fit_linear_heads
from tandem.training.loggers import Epoch
from tandem.training.task import Fitted, HeadTask

SETTINGS = train_settings(epochs=6)
TARGETS = np.random.default_rng(1).choice(3, size=90, p=(0.6, 0.3, 0.1))
FEATURES = np.random.default_rng(0).normal(size=(90, 40)).astype(np.float32) + TARGETS[:, None].astype(np.float32) / 2
VAL = np.arange(70, 90)


def split_of(rows: np.ndarray, targets: np.ndarray = TARGETS) -> Split:
    names = rows.astype(np.str_)
    return Split(tuple(names.tolist()), targets[rows], np.full(len(rows), "planted"), names, rows)


def task(*, rows: np.ndarray | None = None, **settings: Any) -> HeadTask:
    """By default on the first 70 images: eight whole batches and one of six."""
    changed, train = replace(SETTINGS, **settings), split_of(np.arange(70) if rows is None else rows)
    return HeadTask(FEATURES, train, split_of(VAL), 3, changed, f"seed {changed.seed}")


def state(fitted: Fitted) -> list[bytes]:
    return [part.tobytes() for part in fitted.head]


def many() -> list[HeadTask]:
    """Heads that differ in all that heads may differ in: rows, order, length, widths of batches, dropout."""
    return [
        task(seed=1, lr=0.1, scheduler="plateau", balance="sampler", weight_decay=0.01),
        task(seed=2, rows=np.arange(25), dropout=0.5),
        task(seed=3, rows=np.arange(20, 70), dropout=0.5, epochs=3, balance="loss"),
        task(seed=4, batch_size=16, scheduler="cosine"),
        task(seed=5, lr=0.3, patience=1, balance="loss"),
        task(seed=6, dropout=0.2),
        task(seed=7, rows=np.arange(3)),
    ]


def test_heads_that_are_trained_together_are_those_that_are_trained_alone_to_the_last_bit() -> None:
    together, alone = fit_linear_heads(many()), [fit_linear_heads([each])[0] for each in many()]
    assert [each.curve for each in together] == [each.curve for each in alone]
    assert [state(each) for each in together] == [state(each) for each in alone]
    assert [len(together[0].curve), len(together[2].curve)] == [6, 3]
    assert len(together[4].curve) < 6  # its patience was at its end


@pytest.mark.parametrize("balance", ["sampler", "loss", "none"])
def test_steps_are_those_of_autograd_and_of_the_adam_of_torch_on_the_same_batches(balance: str) -> None:
    one = task(balance=balance, weight_decay=0.1, epochs=1)
    fit = linear_fit._Fit(one)
    reference = nn.Linear(40, 3)
    with torch.no_grad():
        reference.weight.copy_(torch.from_numpy(fit.state[0, :, :-1]))
        reference.bias.copy_(torch.from_numpy(fit.state[0, :, -1]))
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1)
    x, targets = (torch.from_numpy(values) for values in ((FEATURES - fit.mean) / fit.std, TARGETS))
    epoch, losses = linear_fit._next_epoch(fit), list[float]()
    counts = np.bincount(TARGETS[:70])
    weight = torch.from_numpy(70 / 3 / counts).float() if balance == "loss" else None
    for step, rows in enumerate(epoch.rows):
        batch = rows[: int(epoch.sizes[step, 0])]
        loss = functional.cross_entropy(reference(x[batch]), targets[batch], weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * len(batch))
    (fitted,) = fit_linear_heads([one])
    assert fitted.head.weight == pytest.approx(reference.weight.detach().numpy(), abs=1e-5)
    assert fitted.head.bias == pytest.approx(reference.bias.detach().numpy(), abs=1e-5)
    assert fitted.curve[0].train_loss == pytest.approx(sum(losses) / 70, rel=1e-5)
    logits = reference(x[70:]).detach()
    assert fitted.curve[0].val_loss == pytest.approx(functional.cross_entropy(logits, targets[70:]).item(), rel=1e-5)
    assert fitted.curve[0].val_top1_accuracy == pytest.approx((logits.argmax(1) == targets[70:]).float().mean().item())


@pytest.mark.parametrize("balance", ["none", "loss", "sampler"])
def test_an_epoch_sees_as_many_rows_as_there_are_and_fills_up_the_last_batch_with_rows_of_no_weight(
    balance: str,
) -> None:
    fit = linear_fit._Fit(task(rows=np.arange(10, 40), balance=balance))
    epochs = [linear_fit._next_epoch(fit) for _ in range(5)]
    for epoch in epochs:
        assert epoch.sizes.ravel().tolist() == [8, 8, 8, 6]
        assert (epoch.loss_weights[3, 6:] == 0).all()
        assert epoch.loss_weights.sum(axis=1).ravel().tolist() == pytest.approx([1] * 4)
        seen = epoch.rows.ravel()[:30].tolist()
        assert set(seen) <= set(range(10, 40))
        assert (sorted(seen) == list(range(10, 40))) == (balance != "sampler")
        assert (epoch.one_hot.reshape(-1, 3).argmax(axis=1) == TARGETS[epoch.rows.ravel()]).all()
    assert len({epoch.rows.tobytes() for epoch in epochs}) == 5  # every epoch in an order of its own


def test_the_sampler_samples_every_class_equally_often() -> None:
    fit = linear_fit._Fit(task(balance="sampler"))
    sampled = np.concatenate([linear_fit._next_epoch(fit).rows.ravel()[:70] for _ in range(200)])
    assert np.bincount(TARGETS[sampled]) / len(sampled) == pytest.approx(
        [1 / 3] * 3, abs=4 * (2 / 9 / len(sampled)) ** 0.5
    )


@pytest.mark.parametrize(("balance", "fraction"), [("none", 0.1), ("loss", 0.5), ("sampler", 0.5)])
def test_balance_weighs_classes_as_often_as_they_are_rare(balance: str, fraction: float) -> None:
    # features that say nothing: what is left to learn is how often a class is to be expected
    features, targets = np.zeros((300, 2), np.float32), np.array([0] * 180 + [1] * 20 + [0] * 100)
    # validation asks for the fraction that the balance should lead to, so the last epochs are the best
    wanted = np.array([0] * round(100 * (1 - fraction)) + [1] * round(100 * fraction))
    settings = replace(SETTINGS, balance=balance, epochs=150, batch_size=200, lr=0.05, scheduler="cosine")
    targets[200:] = wanted
    train, val = split_of(np.arange(200), targets), split_of(np.arange(200, 300), targets)
    (fitted,) = fit_linear_heads([HeadTask(features, train, val, 2, settings, "unbalanced")])
    odds = np.exp(fitted.head.bias)
    assert odds[1] / odds.sum() == pytest.approx(fraction, abs=0.04)


def test_dropout_leaves_out_that_fraction_of_the_values_and_keeps_their_mean() -> None:
    fit = linear_fit._Fit(task(batch_size=70, dropout=0.25))
    inputs = linear_fit._Inputs([fit]).gather([np.arange(70)])[0]
    expected = (FEATURES[:70] - FEATURES[:70].mean(axis=0)) / FEATURES[:70].std(axis=0)
    kept = inputs[:, :-1] != 0
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    assert inputs[:, :-1][kept] == pytest.approx((expected / 0.75)[kept], abs=1e-5)
    assert (inputs[:, -1] == 1).all()  # of the bias


def test_a_head_begins_at_weights_between_the_bounds_of_torch_s_own_and_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    fit = linear_fit._Fit(one := task())
    bound = 1 / np.sqrt(one.table.shape[1])
    assert -bound <= fit.state[0].min() < -bound / 2 < bound / 2 < fit.state[0].max() <= bound
    fit_linear_heads([one])
    assert capfd.readouterr() == ("", "")


def test_each_head_samples_from_its_own_seed() -> None:
    first, again, other = fit_linear_heads([task(dropout=0.5, seed=seed) for seed in (0, 0, 1)])
    assert state(first) == state(again) != state(other)


def test_each_epoch_is_logged_as_it_comes() -> None:
    logged = list[Epoch]()
    (fitted,) = fit_linear_heads([replace(task(), on_epoch=logged.append)])
    assert tuple(logged) == fitted.curve


def test_a_loss_that_is_not_finite_names_the_head_and_the_lr() -> None:
    with pytest.raises(DataError, match=r"seed 8: the loss is not finite in epoch \d+ \(lr 1e\+38\); take a lower"):
        fit_linear_heads([task(), task(seed=8, lr=1e38)])


def test_many_heads_take_as_many_products_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, step = list[int](), linear_fit._Adam.step

    def counted(self: Any, features: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        steps.append(len(features))
        return step(self, features, *rest)

    monkeypatch.setattr(linear_fit._Adam, "step", counted)
    fit_linear_heads([task(seed=seed, lr=0.01 * (seed + 1)) for seed in range(12)])
    assert steps == [12] * 9 * SETTINGS.epochs  # of 70 rows in batches of 8


TRAIN = """
import sys
from dataclasses import replace
from factories import blobs, train_settings
from tandem.training.out_of_fold import train_with_folds
from tandem.training.task import head_task
features, samples = blobs(120)
for head in sys.argv[2:]:
    settings = train_settings(head=head, epochs=2, dropout=0.5, scheduler="plateau", balance="sampler")
    train_with_folds(head_task(features, samples, settings, head))
sys.exit(int(sys.argv[1] in sys.modules))
"""


@pytest.mark.parametrize(
    ("module", "heads"),
    [("torch", ["linear", "logistic"]), ("sklearn", ["linear", "logistic"]), ("torch._dynamo", ["mlp"])],
)
def test_a_head_waits_for_no_import_that_it_does_not_need(module: str, heads: list[str]) -> None:
    command = [sys.executable, "-c", TRAIN, module, *heads]
    done = subprocess.run(command, timeout=120, cwd=Path(__file__).parents[1], check=False)  # where factories.py is
    assert done.returncode == 0
