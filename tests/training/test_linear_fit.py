"""Linear heads that are trained together, against each alone, autograd with torch's own Adam, and counted work."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import log_loss
from torch import nn
from torch.nn import functional

from factories import train_settings
from tandem.errors import DataError
from tandem.tables.samples import Split
from tandem.training.fitting import linear_fit
from tandem.training.fitting.linear_fit import fit_linear_heads
from tandem.training.heads import train_all
from tandem.training.loggers import Epoch
from tandem.training.task import Fitted, HeadTask

SETTINGS = train_settings(epochs=6)
TARGETS = np.random.default_rng(1).choice(3, size=90, p=(0.6, 0.3, 0.1))
FEATURES = np.random.default_rng(0).normal(size=(90, 40)).astype(np.float32) + TARGETS[:, None].astype(np.float32) / 2
WIDE = np.random.default_rng(2).normal(size=(90, 400)).astype(np.float32) + TARGETS[:, None].astype(np.float32) / 2
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
        task(seed=5, lr=3.0, patience=1, balance="loss"),
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
    one = replace(task(balance=balance, weight_decay=0.001, epochs=1), features=WIDE)
    fit = linear_fit._Fit(one)
    reference, average = nn.Linear(400, 3), np.zeros((3, 401))
    with torch.no_grad():
        reference.weight.copy_(torch.from_numpy(fit.state[0, :, :-1]))
        reference.bias.copy_(torch.from_numpy(fit.state[0, :, -1]))
    # of 400 features: their weights learn by 256 / 400 of the lr, and the penalty is that of rows of length 1
    groups = [
        {"params": reference.weight, "lr": 0.01 * 256 / 400, "weight_decay": 0.001 * 400},
        {"params": reference.bias, "lr": 0.01, "weight_decay": 0},
    ]
    optimizer = torch.optim.Adam(groups)
    x, targets = (torch.from_numpy(values) for values in ((WIDE - fit.mean) / fit.std, TARGETS))
    epoch, losses = fit.next_epoch(), list[float]()
    counts = np.bincount(TARGETS[:70])
    weight = torch.from_numpy(70 / 3 / counts).float() if balance == "loss" else None
    for step, rows in enumerate(epoch.rows):
        batch = rows[: int(epoch.sizes[step, 0])]
        loss = functional.cross_entropy(reference(x[batch]), targets[batch], weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * len(batch))
        weights = torch.cat([reference.weight, reference.bias[:, None]], dim=1).detach().numpy()
        average += (weights - average) * 4 / (step + 4)
    (fitted,) = fit_linear_heads([one])
    assert fitted.head.weight == pytest.approx(average[:, :-1], abs=1e-5)
    assert fitted.head.bias == pytest.approx(average[:, -1], abs=1e-5)
    assert fitted.curve[0].train_loss == pytest.approx(sum(losses) / 70, rel=1e-5)
    logits = x[70:].numpy() @ average[:, :-1].T + average[:, -1]
    scaled = [log_loss(TARGETS[70:], softmax(logits / t, axis=1)) for t in np.geomspace(0.2, 20, 2000)]
    assert fitted.curve[0].val_loss == pytest.approx(min(scaled), rel=1e-4)
    assert fitted.curve[0].val_top1_accuracy == pytest.approx((logits.argmax(axis=1) == TARGETS[70:]).mean())


@pytest.mark.parametrize("balance", ["none", "loss", "sampler"])
def test_an_epoch_sees_as_many_rows_as_there_are_and_fills_up_the_last_batch_with_rows_of_no_weight(
    balance: str,
) -> None:
    fit = linear_fit._Fit(task(rows=np.arange(10, 40), balance=balance))
    epochs = [fit.next_epoch() for _ in range(5)]
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
    sampled = np.concatenate([fit.next_epoch().rows.ravel()[:70] for _ in range(200)])
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


@pytest.mark.parametrize(("balance", "expected"), [("sampler", [1 / 3] * 3), ("loss", [1 / 3] * 3), ("none", None)])
def test_a_head_begins_with_how_frequent_its_classes_are_and_prints_nothing(
    balance: str, expected: list[float] | None, capfd: pytest.CaptureFixture[str]
) -> None:
    fit = linear_fit._Fit(one := task(balance=balance))
    head = fit.head(fit.state[0])
    assert (head.weight == 0).all()
    assert softmax(head.bias) == pytest.approx(expected or np.bincount(TARGETS[:70]) / 70, rel=1e-5)
    fit_linear_heads([one])
    assert capfd.readouterr() == ("", "")


def flowers(seed: int) -> tuple[HeadTask, Split]:
    """17 classes, of which validation has five images each, as of 850 thumbnails; and the test images."""
    rng, targets = np.random.default_rng(seed), np.arange(850) % 17
    rows = rng.normal(size=(850, 256)) + 0.25 * rng.normal(size=(17, 256))[targets]
    features = np.maximum(rows @ np.linalg.qr(rng.normal(size=(256, 256)))[0], 0).astype(np.float32)
    train, val, test = (split_of(part, targets) for part in np.split(rng.permutation(850), [600, 683]))
    settings = train_settings(lr=0.001, epochs=15, patience=5, weight_decay=1e-4, scheduler="plateau", seed=seed)
    return HeadTask(features, train, val, 17, settings, f"flowers {seed}"), test


def test_few_validation_images_of_many_classes_do_not_end_a_training_before_it_is_as_good_as_a_regression() -> None:
    tasks, tests = zip(*(flowers(seed) for seed in range(2)), strict=True)
    by_head = [
        [
            (trained.logits[test.rows].argmax(axis=1) == test.targets).mean()
            for trained, test in zip(train_all(each), tests, strict=True)
        ]
        for each in (tasks, [replace(task, settings=replace(task.settings, head="logistic")) for task in tasks])
    ]
    linear, logistic = np.mean(by_head, axis=1)
    assert linear >= logistic - 0.005


def test_where_all_epochs_are_as_good_as_one_another_the_last_is_kept() -> None:
    # features that say nothing: what an epoch loses more or less than another on twenty images is chance
    rng = np.random.default_rng(0)
    noise = rng.normal(size=FEATURES.shape).astype(np.float32)
    fits = fit_linear_heads([replace(task(seed=seed, lr=1e-5, epochs=8), features=noise) for seed in range(8)])
    assert min(fitted.choices["best_epoch"] for fitted in fits) > 1


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
