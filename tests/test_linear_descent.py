"""Linear heads that are trained together, against each alone, autograd with torch's own Adam, and counted work."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tandem import descent, heads, linear_descent
from tandem.descent import Rows, Settings
from tandem.errors import DataError
from tandem.linear_descent import Part, Task
from tandem.tracking import Epoch

SETTINGS = Settings(
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
TARGETS = torch.from_numpy(np.random.default_rng(1).choice(3, size=90, p=(0.6, 0.3, 0.1)))
TABLE = torch.from_numpy(np.random.default_rng(0).normal(size=(90, 40)).astype(np.float32)) + TARGETS[:, None] / 2
VAL = torch.arange(70, 90)


def task(*, rows: torch.Tensor | None = None, dropout: float = 0.0, **settings: Any) -> Task:
    """By default on the first 70 rows of the table: eight whole batches and one of six."""
    own, train = replace(SETTINGS, **settings), torch.arange(70) if rows is None else rows
    head = heads.linear_head(TABLE[train], 3, dropout=dropout, seed=own.seed)
    return Task(head, Part(TABLE, train, TARGETS[train]), Part(TABLE, VAL, TARGETS[VAL]), own, f"seed {own.seed}")


def state(head: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in head.state_dict().items()}


def many() -> list[Task]:
    """Heads that differ in all that heads may differ in: rows, order, length, widths of batches, dropout."""
    return [
        task(seed=1, lr=0.1, scheduler="plateau", balance="sampler", weight_decay=0.01),
        task(seed=2, rows=torch.arange(25), dropout=0.5),
        task(seed=3, rows=torch.arange(20, 70), dropout=0.5, epochs=3, balance="loss"),
        task(seed=4, batch_size=16, scheduler="cosine"),
        task(seed=5, lr=0.3, patience=1, balance="loss"),
        task(seed=6, dropout=0.2),
        task(seed=7, rows=torch.arange(3)),
    ]


def test_heads_that_are_trained_together_are_those_that_are_trained_alone_to_the_last_bit() -> None:
    together, alone = many(), many()
    curves = linear_descent.fit(together)
    assert curves == [linear_descent.fit([each])[0] for each in alone]
    for one, other in zip(together, alone, strict=True):
        assert state(one.head) == state(other.head)
        assert not one.head.training
    assert len({len(curve) for curve in curves}) > 2  # some ended early
    assert [len(curves[2]), len(curves[0])] == [3, 6]


@pytest.mark.parametrize("balance", ["sampler", "loss", "none"])
@pytest.mark.parametrize("scheduler", ["plateau", "cosine"])
def test_without_dropout_they_are_those_of_autograd_and_of_the_adam_of_torch(balance: str, scheduler: str) -> None:
    one = task(balance=balance, scheduler=scheduler, weight_decay=0.1)
    reference = heads.linear_head(TABLE[:70], 3, dropout=0.0, seed=0)
    rows = [Rows(part.x[part.rows], part.targets) for part in (one.train, one.val)]
    expected = descent.fit(reference, train=rows[0], val=rows[1], settings=one.settings, name="reference")
    (curve,) = linear_descent.fit([one])
    for own, other in zip(curve, expected, strict=True):
        assert list(vars(own).values()) == pytest.approx(list(vars(other).values()), rel=1e-4)
    for name, value in reference.state_dict().items():
        assert torch.allclose(one.head.state_dict()[name], value, atol=1e-5)


def test_a_step_is_that_of_torch_optim_adam() -> None:
    one = task(epochs=1, batch_size=70, weight_decay=0.1, dropout=0.0)
    reference = heads.linear_head(TABLE[:70], 3, dropout=0.0, seed=0)
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1)
    loss = functional.cross_entropy(reference(TABLE[:70]), TARGETS[:70])
    loss.backward()
    optimizer.step()
    (curve,) = linear_descent.fit([one])
    assert curve[0].train_loss == pytest.approx(loss.item(), rel=1e-5)
    for own, other in zip(one.head.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(own, other, atol=1e-6)


def test_dropout_leaves_out_that_share_of_the_values_and_keeps_their_mean() -> None:
    # of one step from weights of zero, the gradient is that of the inputs that were kept
    one = task(epochs=1, batch_size=70, dropout=0.25, lr=1.0)
    with torch.no_grad():
        one.head.get_parameter("2.weight").zero_()
        one.head.get_parameter("2.bias").zero_()
    inputs = linear_descent._Inputs([linear_descent._Running(one)]).of([torch.arange(70)])[0]
    expected = one.head.get_submodule("0")(TABLE[:70])
    own, rest = inputs[:, :40], inputs[:, 40:]
    kept = own != 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert torch.allclose(own[kept], (expected / 0.75)[kept], atol=1e-5)
    assert (rest[:, 0] == 1).all()  # of the bias
    assert (rest[:, 1:] == 0).all()


def test_each_head_draws_its_own_dropout_from_its_seed() -> None:
    first, again, other = (task(dropout=0.5, balance="none", seed=seed) for seed in (0, 0, 1))
    linear_descent.fit([first, again, other])
    assert state(first.head) == state(again.head) != state(other.head)


def test_each_epoch_is_told_as_it_comes() -> None:
    told = list[Epoch]()
    (curve,) = linear_descent.fit([replace(task(), on_epoch=told.append)])
    assert tuple(told) == curve


def test_a_loss_that_is_not_finite_names_the_head_and_the_lr() -> None:
    with pytest.raises(DataError, match=r"seed 8: the loss is not finite in epoch \d+ \(lr 1e\+38\); take a lower"):
        linear_descent.fit([task(), task(seed=8, lr=1e38)])


def test_many_heads_take_as_many_products_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, step = list[int](), linear_descent._Adam.step

    def counted(self: Any, x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        steps.append(len(x))
        return step(self, x, *rest)

    monkeypatch.setattr(linear_descent._Adam, "step", counted)
    linear_descent.fit([task(seed=seed, lr=0.01 * (seed + 1)) for seed in range(12)])
    assert steps == [12] * 9 * SETTINGS.epochs  # of 70 rows in batches of 8


def test_no_head_waits_for_the_import_of_torchs_compiler() -> None:
    script = """
import sys
import numpy as np
sys.path.insert(0, "tests")
from dataclasses import replace
from test_training import SETTINGS, blobs, training
from tandem import ensembling
x, samples = blobs()
for head in ("linear", "mlp", "logistic"):
    logits = training.train(x, samples, settings=replace(SETTINGS, head=head), name=head).logits
ensembling.recipe({"one": x}, {"one": logits}, samples, settings=SETTINGS, width=8)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
