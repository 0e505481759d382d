"""Networks fitted to planted rows, against torch's own Adam and the layers written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from factories import blobs, train_settings
from tandem.errors import DataError
from tandem.training import networks
from tandem.training.fitting.early_stopping import EarlyStopping, losses_at_best_temperature
from tandem.training.fitting.network_fit import Batch, fit_network, fit_network_head, network_logits
from tandem.training.loggers import ignore_epoch
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task

SETTINGS = train_settings(batch_size=16, epochs=5)


def fit_on(
    head: nn.Module, *, train: Batch, val: Batch, settings: TrainSettings, name: str = "planted"
) -> EarlyStopping:
    """Each validation row is a group of its own."""
    targets = val.targets.numpy()
    early_stopping = EarlyStopping(settings, name, ignore_epoch, targets=targets, groups=np.arange(len(targets)))
    fit_network_head(head, train=train, val_features=val.features, early_stopping=early_stopping)
    return early_stopping


def some_rows(targets: list[int], *, dim: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(len(targets), dim, generator=generator), torch.tensor(targets))


def overfitting(settings: TrainSettings) -> tuple[nn.Module, Batch, EarlyStopping]:
    """Validation asks for the contrary of what is trained, of which a temperature can make no more than a guess."""
    targets = [0, 1] * 100
    features = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    features[:, 0] += torch.tensor(targets) * 2.0
    train, val = Batch(features, torch.tensor(targets)), Batch(features[:60], 1 - torch.tensor(targets[:60]))
    head = networks.linear_head(train.features, 2, dropout=0.0, seed=settings.seed)
    with torch.no_grad():  # a start that validation likes
        head[2].weight.copy_(torch.tensor([[2.0, 0, 0], [-2.0, 0, 0]]))
    return head, val, fit_on(head, train=train, val=val, settings=settings)


def test_the_head_has_the_averaged_weights_of_the_epoch_that_is_kept() -> None:
    head, val, early_stopping = overfitting(replace(SETTINGS, epochs=30, lr=0.03))
    losses = [epoch.val_loss for epoch in early_stopping.curve]
    assert early_stopping.kept < len(losses)
    assert losses[-1] > losses[early_stopping.kept - 1]
    kept = losses_at_best_temperature(network_logits(head, val.features).numpy(), val.targets.numpy())
    assert kept.mean() == pytest.approx(losses[early_stopping.kept - 1], abs=1e-6)


def test_the_average_is_that_of_the_weights_after_each_step() -> None:
    rows = some_rows([0, 1, 2] * 4)
    head, reference = (networks.linear_head(rows.features, 3, dropout=0.0, seed=0) for _ in range(2))
    fit_on(head, train=rows, val=rows, settings=replace(SETTINGS, batch_size=12, epochs=4, lr=0.1))
    optimizer, average = torch.optim.Adam(reference.parameters(), lr=0.1), torch.zeros(3, 3)
    for step in range(1, 5):
        optimizer.zero_grad()
        functional.cross_entropy(reference(rows.features), rows.targets).backward()
        optimizer.step()
        average = average + (reference[2].weight.detach() - average) * 4 / (step + 3)
    assert torch.allclose(head[2].weight, average, atol=1e-6)
    assert not torch.allclose(head[2].weight, reference[2].weight, atol=1e-3)
    assert head[2].weight.is_contiguous()  # as a saved file has them, however they lay while they were trained


def test_the_curve_has_the_accuracy_on_the_rows_that_were_trained_on() -> None:
    features = torch.tensor([[1.0], [-1.0]] * 20)
    rows = Batch(features, (features[:, 0] < 0).long())
    head = networks.linear_head(rows.features, 2, dropout=0.0, seed=0)
    settings = replace(SETTINGS, epochs=20, lr=0.1)
    curve = fit_on(head, train=rows, val=rows, settings=settings).curve
    assert all(0 <= epoch.train_top1_accuracy <= 1 for epoch in curve)
    assert curve[-1].train_top1_accuracy == curve[-1].val_top1_accuracy == 1


def test_training_ends_when_patience_does() -> None:
    whole, short = (overfitting(replace(SETTINGS, epochs=30, lr=0.03, patience=each))[2] for each in (1000, 2))
    assert len(whole.curve) == 30
    assert len(short.curve) == short.kept + 2 < 30
    assert short.curve == whole.curve[: len(short.curve)]


@pytest.mark.parametrize(("balance", "fraction"), [("none", 0.1), ("loss", 0.5), ("sampler", 0.5)])
def test_balance_weighs_classes_as_often_as_they_are_rare(balance: str, fraction: float) -> None:
    # features that say nothing: what is left to learn is how often a class is to be expected
    targets = [0] * 180 + [1] * 20
    rows = Batch(torch.zeros(200, 2), torch.tensor(targets))
    head = networks.linear_head(rows.features, 2, dropout=0.0, seed=0)
    settings = replace(SETTINGS, balance=balance, epochs=150, batch_size=200, lr=0.05, scheduler="cosine")
    # validation asks for the fraction that the balance should lead to, so the last epochs are the best
    wanted = [0] * round(100 * (1 - fraction)) + [1] * round(100 * fraction)
    fit_on(head, train=rows, val=Batch(torch.zeros(100, 2), torch.tensor(wanted)), settings=settings)
    assert head(torch.zeros(1, 2)).softmax(1)[0, 1].item() == pytest.approx(fraction, abs=0.04)


@pytest.mark.parametrize(("balance", "is_high"), [("none", False), ("loss", True), ("sampler", True)])
def test_balance_finds_the_rare_class(balance: str, is_high: bool) -> None:
    rng = np.random.default_rng(0)
    targets = np.where(rng.random(1000) < 0.05, 1, 0)
    features = torch.from_numpy((rng.normal(size=(1000, 2)) + 1.5 * targets[:, None]).astype(np.float32))
    rows = Batch(features, torch.from_numpy(targets))
    settings = replace(SETTINGS, balance=balance, epochs=15)
    head = networks.linear_head(features, 2, dropout=0.0, seed=0)
    even = torch.cat([rows.targets.nonzero()[:, 0], (rows.targets == 0).nonzero()[: int(targets.sum()), 0]])
    val = Batch(features[even], rows.targets[even]) if balance != "none" else rows
    fit_on(head, train=rows, val=val, settings=settings)
    recall = (head(features).argmax(1) == 1)[rows.targets == 1].float().mean().item()
    assert (recall > 0.7) == is_high


class Memory(nn.Module):
    """A linear layer that remembers which rows it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)
        self.batches: list[torch.Tensor] = []

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.batches.append(features[:, 0].clone())
        return self.layer(features)


@pytest.mark.parametrize("balance", ["none", "loss", "sampler"])
def test_an_epoch_sees_as_many_rows_as_there_are_and_the_last_batch_may_be_of_one(balance: str) -> None:
    rows = Batch(torch.arange(9.0)[:, None], torch.tensor([0, 1, 2] * 3))
    head = Memory()
    fit_on(head, train=rows, val=rows, settings=replace(SETTINGS, batch_size=4, balance=balance))
    assert [len(batch) for batch in head.batches] == [4, 4, 1] * 5
    epochs = [torch.cat(head.batches[start : start + 3]).tolist() for start in range(0, 15, 3)]
    assert len({tuple(epoch) for epoch in epochs}) == 5  # every epoch in an order of its own
    if balance != "sampler":
        assert all(sorted(epoch) == list(range(9)) for epoch in epochs)


def test_the_sampler_samples_every_class_equally_often() -> None:
    targets = torch.tensor([0] * 800 + [1] * 150 + [2] * 50)
    rows = Batch(targets[:, None].float(), targets)
    head = Memory()
    fit_on(head, train=rows, val=rows, settings=replace(SETTINGS, balance="sampler", batch_size=100))
    sampled = torch.bincount(torch.cat(head.batches).long()) / 5000
    assert sampled.tolist() == pytest.approx([1 / 3] * 3, abs=4 * (2 / 9 / 5000) ** 0.5)


def test_one_batch_without_shuffling_is_one_step_of_adam() -> None:
    rows = some_rows([0, 1, 2, 0, 1, 2, 2, 2])
    head, reference = (networks.linear_head(rows.features, 3, dropout=0.0, seed=0) for _ in range(2))
    settings = replace(SETTINGS, epochs=1, balance="loss", weight_decay=0.1)
    curve = fit_on(head, train=rows, val=rows, settings=settings).curve
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1)
    weight = torch.tensor([8 / (3 * 2), 8 / (3 * 2), 8 / (3 * 4)])  # scikit-learn's class_weight="balanced"
    loss = functional.cross_entropy(reference(rows.features), rows.targets, weight=weight)
    loss.backward()
    optimizer.step()
    assert curve[0].train_loss == pytest.approx(loss.item(), rel=1e-5)
    for one, other in zip(head.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_predictions_do_not_depend_on_how_many_rows_there_are() -> None:
    features = some_rows([0] * 5000).features
    head = networks.linear_head(features, 2, dropout=0.5, seed=0)
    whole = network_logits(head, features)
    assert whole.shape == (5000, 2)
    assert torch.allclose(whole[4990:], network_logits(head, features[4990:]), atol=1e-6)
    assert not whole.requires_grad


def test_a_task_is_fitted_on_its_train_images_and_the_epoch_is_chosen_on_val() -> None:
    features, samples = blobs()
    fitted = fit_network(head_task(features, samples, SETTINGS, "blobs"))
    mean = fitted.head.net[0].mean.numpy()
    assert mean == pytest.approx(features[samples.train.rows].mean(axis=0), rel=1e-5)
    losses = losses_at_best_temperature(fitted.head.logits(features[samples.val.rows]), samples.val.targets)
    kept = int(fitted.choices["best_epoch"])
    assert losses.mean() == pytest.approx(fitted.curve[kept - 1].val_loss, abs=1e-6)


def test_a_scaled_head_has_its_logits_divided() -> None:
    features, samples = blobs()
    head = fit_network(head_task(features, samples, SETTINGS, "blobs")).head
    assert head.scaled(2.5).logits(features) == pytest.approx(head.logits(features) / 2.5, rel=1e-5)


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_lr() -> None:
    rows = some_rows([0, 1, 2] * 10)
    head = networks.linear_head(rows.features, 3, dropout=0.0, seed=0)
    with pytest.raises(DataError, match=r"blobs: the loss is not finite in epoch \d+ \(lr 1e\+38\); take a lower"):
        fit_on(head, train=rows, val=rows, settings=replace(SETTINGS, lr=1e38), name="blobs")


def fitted_from_one_start(*, seed: int, dropout: float, batch_size: int, targets: list[int]) -> bytes:
    """The weights of one and the same head after training by this seed."""
    rows = some_rows(targets)
    head = networks.linear_head(rows.features, 3, dropout=dropout, seed=0)
    settings = replace(SETTINGS, seed=seed, batch_size=batch_size, epochs=1, lr=0.1)
    fit_on(head, train=rows, val=some_rows([0, 1, 2], seed=1), settings=settings)
    return head[-1].weight.detach().numpy().tobytes()


def test_the_seed_decides_the_order_of_the_batches() -> None:
    one, again, other = (
        fitted_from_one_start(seed=seed, dropout=0.0, batch_size=2, targets=[0, 1, 2] * 5) for seed in (0, 0, 1)
    )
    assert one == again != other


def test_the_seed_decides_what_dropout_leaves_out() -> None:
    # of two rows in one batch there are but two orders
    found = {seed: fitted_from_one_start(seed=seed, dropout=0.5, batch_size=2, targets=[2, 2]) for seed in range(8)}
    assert len(set(found.values())) > 2
