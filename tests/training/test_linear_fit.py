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

from tandem.errors import DataError
from tandem.training import linear_fit
from tandem.training.early_stopping import TrainSettings
from tandem.training.linear import Linear
from tandem.training.linear_fit import LinearRows, LinearTask
from tandem.training.loggers import Epoch

SETTINGS = TrainSettings(
    head="linear",
    lr=0.01,
    batch_size=8,
    epochs=6,
    patience=1000,
    weight_decay=0.0,
    dropout=0.0,
    scheduler="none",
    balance="none",
    folds=3,
    seed=0,
)
TARGETS = np.random.default_rng(1).choice(3, size=90, p=(0.6, 0.3, 0.1))
TABLE = np.random.default_rng(0).normal(size=(90, 40)).astype(np.float32) + TARGETS[:, None].astype(np.float32) / 2
VAL = np.arange(70, 90)


def task(*, rows: np.ndarray | None = None, **settings: Any) -> LinearTask:
    """By default on the first 70 rows of the table: eight whole batches and one of six."""
    own, train = replace(SETTINGS, **settings), np.arange(70) if rows is None else rows
    return LinearTask(
        LinearRows(TABLE, train, TARGETS[train]), LinearRows(TABLE, VAL, TARGETS[VAL]), 3, own, f"seed {own.seed}"
    )


def state(head: Linear) -> list[bytes]:
    return [part.tobytes() for part in head]


def many() -> list[LinearTask]:
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
    together, alone = linear_fit.fit_linear_heads(many()), [linear_fit.fit_linear_heads([each])[0] for each in many()]
    assert [each.curve for each in together] == [each.curve for each in alone]
    assert [state(each.head) for each in together] == [state(each.head) for each in alone]
    assert [len(together[0].curve), len(together[2].curve)] == [6, 3]
    assert len(together[4].curve) < 6  # its patience was at its end


@pytest.mark.parametrize("balance", ["sampler", "loss", "none"])
def test_steps_are_those_of_autograd_and_of_the_adam_of_torch_on_the_same_batches(balance: str) -> None:
    own = task(balance=balance, weight_decay=0.1, epochs=1)
    running = linear_fit._Running(own)
    reference = nn.Linear(40, 3)
    with torch.no_grad():
        reference.weight.copy_(torch.from_numpy(running.weights[0, :, :-1]))
        reference.bias.copy_(torch.from_numpy(running.weights[0, :, -1]))
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1)
    x, targets = (torch.from_numpy(values) for values in ((TABLE - running.mean) / running.std, TARGETS))
    epoch, losses = linear_fit._resampled_rows(running), list[float]()
    counts = np.bincount(TARGETS[:70])
    weight = torch.from_numpy(70 / 3 / counts).float() if balance == "loss" else None
    for step, rows in enumerate(epoch.rows):
        batch = rows[: int(epoch.counts[step, 0])]
        loss = functional.cross_entropy(reference(x[batch]), targets[batch], weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * len(batch))
    (fitted,) = linear_fit.fit_linear_heads([own])
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
    running = linear_fit._Running(task(rows=np.arange(10, 40), balance=balance))
    epochs = [linear_fit._resampled_rows(running) for _ in range(5)]
    for epoch in epochs:
        assert epoch.counts.ravel().tolist() == [8, 8, 8, 6]
        assert (epoch.share[3, 6:] == 0).all()
        assert epoch.share.sum(axis=1).ravel().tolist() == pytest.approx([1] * 4)
        seen = epoch.rows.ravel()[:30].tolist()
        assert set(seen) <= set(range(10, 40))
        assert (sorted(seen) == list(range(10, 40))) == (balance != "sampler")
        assert (epoch.hot.reshape(-1, 3).argmax(axis=1) == TARGETS[epoch.rows.ravel()]).all()
    assert len({epoch.rows.tobytes() for epoch in epochs}) == 5  # every epoch in an order of its own


def test_the_sampler_draws_every_class_equally_often() -> None:
    running = linear_fit._Running(task(balance="sampler"))
    drawn = np.concatenate([linear_fit._resampled_rows(running).rows.ravel()[:70] for _ in range(200)])
    assert np.bincount(TARGETS[drawn]) / len(drawn) == pytest.approx([1 / 3] * 3, abs=4 * (2 / 9 / len(drawn)) ** 0.5)


@pytest.mark.parametrize(("balance", "share"), [("none", 0.1), ("loss", 0.5), ("sampler", 0.5)])
def test_balance_weighs_classes_as_often_as_they_are_rare(balance: str, share: float) -> None:
    # features that say nothing: what is left to learn is how often a class is to be expected
    x, targets = np.zeros((300, 2), np.float32), np.array([0] * 180 + [1] * 20 + [0] * 100)
    # validation asks for the share that the balance should lead to, so the last epochs are the best
    wanted = np.array([0] * round(100 * (1 - share)) + [1] * round(100 * share))
    settings = replace(SETTINGS, balance=balance, epochs=150, batch_size=200, lr=0.05, scheduler="cosine")
    train, val = LinearRows(x, np.arange(200), targets[:200]), LinearRows(x, np.arange(200, 300), wanted)
    (fitted,) = linear_fit.fit_linear_heads([LinearTask(train, val, 2, settings, "unbalanced")])
    odds = np.exp(fitted.head.bias)
    assert odds[1] / odds.sum() == pytest.approx(share, abs=0.04)


def test_dropout_leaves_out_that_share_of_the_values_and_keeps_their_mean() -> None:
    running = linear_fit._Running(task(batch_size=70, dropout=0.25))
    inputs = linear_fit._Inputs([running]).of([np.arange(70)])[0]
    expected = (TABLE[:70] - TABLE[:70].mean(axis=0)) / TABLE[:70].std(axis=0)
    kept = inputs[:, :-1] != 0
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    assert inputs[:, :-1][kept] == pytest.approx((expected / 0.75)[kept], abs=1e-5)
    assert (inputs[:, -1] == 1).all()  # of the bias


def test_each_head_draws_from_its_own_seed() -> None:
    first, again, other = linear_fit.fit_linear_heads([task(dropout=0.5, seed=seed) for seed in (0, 0, 1)])
    assert state(first.head) == state(again.head) != state(other.head)


def test_each_epoch_is_told_as_it_comes() -> None:
    told = list[Epoch]()
    (fitted,) = linear_fit.fit_linear_heads([replace(task(), on_epoch=told.append)])
    assert tuple(told) == fitted.curve


def test_a_loss_that_is_not_finite_names_the_head_and_the_lr() -> None:
    with pytest.raises(DataError, match=r"seed 8: the loss is not finite in epoch \d+ \(lr 1e\+38\); take a lower"):
        linear_fit.fit_linear_heads([task(), task(seed=8, lr=1e38)])


def test_many_heads_take_as_many_products_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, step = list[int](), linear_fit._Adam.step

    def counted(self: Any, x: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        steps.append(len(x))
        return step(self, x, *rest)

    monkeypatch.setattr(linear_fit._Adam, "step", counted)
    linear_fit.fit_linear_heads([task(seed=seed, lr=0.01 * (seed + 1)) for seed in range(12)])
    assert steps == [12] * 9 * SETTINGS.epochs  # of 70 rows in batches of 8


TRAIN = """
import sys
from dataclasses import replace
import numpy as np
from tandem.training import heads as training
from tandem.training.early_stopping import Settings
from tandem.tables.samples import SPLITS, Sample, Samples
targets = np.arange(120) % 3
x = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
names = ("car", "motorcycle", "truck")
rows = [Sample(f"{n}", names[t], "drawn", f"{n}", SPLITS[n // 3 % 3]) for n, t in enumerate(targets)]
samples = Samples.of(names, tuple(rows))
settings = Settings("linear", 0.01, 8, 2, 5, 0.0, 0.5, "plateau", "sampler", 3, 0)
for head in sys.argv[2:]:
    training.train_with_folds(training.Task(x, samples, replace(settings, head=head), head))
sys.exit(int(sys.argv[1] in sys.modules))
"""


@pytest.mark.parametrize(
    ("module", "heads"),
    [("torch", ["linear", "logistic"]), ("sklearn", ["linear", "logistic"]), ("torch._dynamo", ["mlp"])],
)
def test_a_head_waits_for_no_import_that_it_does_not_need(module: str, heads: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN, module, *heads], timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == 0
