"""Training on planted blobs, against scikit-learn's logistic regression and torch's own schedulers."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from scipy import special
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from tandem.errors import DataError, LeakageError
from tandem.tables.logits import load_logits
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.training import early_stopping, heads, network_fit, networks
from tandem.training.early_stopping import TrainSettings
from tandem.training.linear import Linear, load_linear
from tandem.training.loggers import Epoch
from tandem.training.network_fit import Batch

SETTINGS = TrainSettings(
    head="linear",
    lr=0.01,
    batch_size=16,
    epochs=5,
    patience=1000,
    weight_decay=0.0,
    dropout=0.0,
    scheduler="none",
    balance="none",
    folds=3,
    seed=0,
)
CLASSES = ("car", "motorcycle", "truck")


def blobs(num_rows: int = 300, *, spread: float = 3.0, dim: int = 6, seed: int = 0) -> tuple[np.ndarray, Samples]:
    """Three overlapping classes; of ten rows six are for training, two for validation, two for the test."""
    x, targets = make_blobs(num_rows, dim, centers=3, cluster_std=spread, center_box=(-4, 4), random_state=seed)
    return x.astype(np.float32), as_samples(targets)


def as_samples(targets: np.ndarray) -> Samples:
    splits = [SPLITS[(0, 0, 0, 0, 0, 0, 1, 1, 2, 2)[row % 10]] for row in range(len(targets))]
    rows = enumerate(zip(targets.tolist(), splits, strict=True))
    return Samples.of(
        CLASSES, tuple(Sample(f"{row:04}", CLASSES[t], "drawn", f"{row:04}", split) for row, (t, split) in rows)
    )


def some_rows(targets: list[int], *, dim: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(len(targets), dim, generator=generator), torch.tensor(targets))


def with_folds(x: np.ndarray, samples: Samples, settings: TrainSettings) -> tuple[heads.Trained, np.ndarray]:
    return heads.train_with_folds(heads.HeadTask(heads.as_float32(x), samples, settings, "blobs"))


def state_bytes(head: Linear | nn.Module) -> list[bytes]:
    values = head if isinstance(head, Linear) else [value.numpy() for value in head.state_dict().values()]
    return [value.tobytes() for value in values]


def logits_of(head: Linear | nn.Module, x: np.ndarray) -> np.ndarray:
    if isinstance(head, Linear):
        return head.logits(x)
    assert not head.training
    with torch.no_grad():
        return head(torch.from_numpy(x)).numpy()


def test_a_linear_head_is_as_good_as_logistic_regression() -> None:
    x, samples = blobs(1500)
    settings = replace(SETTINGS, epochs=20, batch_size=32)
    trained = heads.train_head(x, samples, settings=settings, name="blobs")
    fit, test = samples.train.rows, samples.test.rows
    reference = LogisticRegression(max_iter=1000).fit(x[fit], samples.train.targets)
    own = (trained.logits[test].argmax(1) == samples.test.targets).mean()
    assert own == pytest.approx(reference.score(x[test], samples.test.targets), abs=0.02)
    assert own > 0.6


def test_the_logits_are_those_of_the_head_for_every_row_in_order() -> None:
    x, samples = blobs()
    trained = heads.train_head(x, samples, settings=SETTINGS, name="blobs")
    mean, std, weight, bias = trained.head
    fit = samples.train.rows
    assert np.allclose([mean, std], [x[fit].mean(axis=0), x[fit].std(axis=0)], atol=1e-5)
    assert trained.logits == pytest.approx((x - mean) / std @ weight.T + bias, abs=1e-4)
    assert trained.logits.dtype == np.float32


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("balance", ["sampler", "loss", "none"])
def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(dropout: float, balance: str) -> None:
    x, samples = blobs()
    settings = replace(SETTINGS, dropout=dropout, balance=balance)
    before = torch.get_rng_state()
    first = heads.train_head(x, samples, settings=settings, name="blobs")
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again = heads.train_head(x, samples, settings=settings, name="blobs")
    other = heads.train_head(x, samples, settings=replace(settings, seed=1), name="blobs")
    assert state_bytes(first.head) == state_bytes(again.head) != state_bytes(other.head)
    assert first.curve == again.curve
    assert first.logits.tobytes() == again.logits.tobytes()


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    x, samples = blobs(dim=300)
    found, before = [], torch.get_num_threads()
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            found.append(heads.train_head(x, samples, settings=SETTINGS, name="blobs").logits.tobytes())
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_saved_folders_have_the_same_bytes_twice(tmp_path: Path) -> None:
    x, samples = blobs()
    digests = []
    for name in ("one", "two"):
        trained = heads.train_head(x, samples, settings=SETTINGS, name=name)
        heads.save_head(trained, samples, tmp_path / name)
        files = sorted((tmp_path / name).iterdir())
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
    assert digests[0] == digests[1]
    assert digests[0].keys() == {"head.npz", "logits.npz", "curves.csv"}


def test_what_is_saved_can_be_read_again(tmp_path: Path) -> None:
    x, samples = blobs()
    trained = heads.train_head(x, samples, settings=SETTINGS, name="blobs")
    heads.save_head(trained, samples, tmp_path / "saved")
    head = load_linear(tmp_path / "saved" / "head.npz")
    assert state_bytes(head) == state_bytes(trained.head)
    assert head.logits(x) == pytest.approx(trained.logits, abs=1e-5)
    logits = load_logits(tmp_path / "saved" / "logits.npz")
    assert (logits.ids, logits.class_names) == (tuple(samples.ids), CLASSES)
    assert logits.values.tobytes() == trained.logits.tobytes()


def test_a_saved_network_can_be_read_again(tmp_path: Path) -> None:
    x, samples = blobs()
    trained = heads.train_head(x, samples, settings=replace(SETTINGS, head="mlp"), name="blobs")
    heads.save_head(trained, samples, tmp_path / "saved")
    head = networks.TemperatureScaled(networks.mlp_head(torch.zeros(1, x.shape[1]), 3, dropout=0.0, seed=5), 1.0)
    head.load_state_dict(torch.load(tmp_path / "saved" / "head.pt", weights_only=True))
    assert network_fit.predict(head, torch.from_numpy(x)).numpy().tobytes() == trained.logits.tobytes()


def test_the_curves_have_one_line_an_epoch(tmp_path: Path) -> None:
    x, samples = blobs()
    trained = heads.train_head(x, samples, settings=SETTINGS, name="blobs")
    heads.save_head(trained, samples, tmp_path / "saved")
    with (tmp_path / "saved" / "curves.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["epoch", "lr", "train_loss", "train_top1_accuracy", "val_loss", "val_top1_accuracy"]
    assert [line["epoch"] for line in lines] == ["1", "2", "3", "4", "5"]
    for line, epoch in zip(lines, trained.curve, strict=True):
        assert float(line["val_loss"]) == pytest.approx(epoch.val_loss, abs=1e-6)


def overfitting(settings: TrainSettings) -> tuple[nn.Module, Batch, tuple[Epoch, ...]]:
    """Validation asks for the contrary of what is trained: its loss rises once the head has learned something."""
    train = some_rows([0, 1] * 10)
    val = Batch(train.x, 1 - train.targets)
    head = networks.linear_head(train.x, 2, dropout=0.0, seed=settings.seed)
    return head, val, network_fit.fit_network_head(head, train=train, val=val, settings=settings, name="overfitting")


def test_the_head_keeps_the_epoch_with_the_lowest_validation_loss() -> None:
    head, val, history = overfitting(replace(SETTINGS, epochs=10, lr=0.1))
    losses = [epoch.val_loss for epoch in history]
    assert min(losses) < losses[-1]
    kept = functional.cross_entropy(network_fit.predict(head, val.x), val.targets).item()
    assert kept == pytest.approx(min(losses), abs=1e-6)
    assert early_stopping.best_epoch(history) == 1 + losses.index(min(losses))


def test_the_summary_holds_what_was_chosen_and_the_scores_of_what_is_kept() -> None:
    x, samples = blobs()
    trained = heads.train_head(x, samples, settings=SETTINGS, name="blobs")
    found = heads.head_summary(trained, samples)
    assert found["best_epoch"] == min(trained.curve, key=lambda epoch: epoch.val_loss).epoch
    for split in ("val", "train"):
        rows, targets = trained.logits[samples.split(split).rows].astype(np.float64), samples.split(split).targets
        probs = special.softmax(rows, axis=1)
        assert found[f"{split}_loss"] == pytest.approx(sklearn.metrics.log_loss(targets, probs), abs=1e-6)
        assert found[f"{split}_top1_accuracy"] == pytest.approx((probs.argmax(1) == targets).mean())


def test_training_ends_when_patience_does() -> None:
    whole, short = (overfitting(replace(SETTINGS, epochs=30, lr=0.1, patience=patience))[2] for patience in (1000, 2))
    losses = [epoch.val_loss for epoch in whole]
    ends = next(row for row in range(2, 30) if min(losses[: row - 1]) <= min(losses[row - 1 : row + 1]))
    assert len(whole) == 30
    assert short == whole[: ends + 1]


def test_the_temperature_never_raises_the_log_loss_on_validation() -> None:
    x, samples = blobs(spread=6.0)
    trained = heads.train_head(x, samples, settings=replace(SETTINGS, lr=0.5, epochs=20), name="blobs")
    rows, targets = samples.val.rows, samples.val.targets
    raw = torch.from_numpy(trained.logits[rows] * trained.chosen["temperature"])
    before = functional.cross_entropy(raw, torch.from_numpy(targets)).item()
    assert heads.head_summary(trained, samples)["val_loss"] <= before + 1e-6
    assert trained.chosen["temperature"] > 1  # such a lr makes a head too sure


def test_a_logistic_head_is_the_logistic_regression_of_scikit_learn() -> None:
    x, samples = blobs(600)
    settings = replace(SETTINGS, head="logistic")
    trained = heads.train_head(x, samples, settings=settings, name="blobs")
    fit = samples.train.rows
    scaler = StandardScaler().fit(x[fit].astype(np.float64))
    reference = LogisticRegression(C=trained.chosen["strength"], max_iter=1000, tol=1e-8)
    reference.fit(scaler.transform(x[fit]), samples.train.targets)
    expected = reference.predict_proba(scaler.transform(x))
    raw = trained.logits.astype(np.float64) * trained.chosen["temperature"]
    assert special.softmax(raw, axis=1) == pytest.approx(expected, abs=2e-3)
    assert trained.curve == ()


def test_an_mlp_head_separates_what_no_line_separates() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)).astype(np.float32)
    targets = ((x[:, 0] * x[:, 1] > 0) + 0).astype(np.int64)
    targets[np.isin(np.arange(600) % 60, (3, 16, 28))] = 2
    samples = as_samples(targets)
    accuracy = {}
    for head in ("linear", "mlp"):
        settings = replace(SETTINGS, head=head, epochs=30)
        trained = heads.train_head(x, samples, settings=settings, name=head)
        accuracy[head] = (trained.logits[samples.test.rows].argmax(1) == samples.test.targets).mean()
    assert accuracy["mlp"] > 0.85 > 0.7 > accuracy["linear"]


@pytest.mark.parametrize("head", ["linear", "logistic", "mlp"])
def test_out_of_fold_logits_are_by_heads_that_have_not_seen_the_row_or_its_group(head: str) -> None:
    # noise that only one who has seen a row can know: out of fold it is chance, in sample it is learnt by heart
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(100, 60)), 3, axis=0).astype(np.float32)
    targets = np.repeat(rng.integers(3, size=100), 3)
    rows = enumerate(targets.tolist())
    samples = Samples.of(
        CLASSES,
        tuple(
            Sample(
                f"{row:04}",
                CLASSES[t],
                "drawn",
                f"{row // 3:04}",
                ("train", "train", "train", "val", "test")[row // 3 % 5],
            )
            for row, t in rows
        ),
    )
    settings = replace(SETTINGS, head=head, epochs=40, lr=0.02)
    trained, found = with_folds(x, samples, settings)
    train, targets = samples.train.rows, samples.train.targets
    assert (found[train].argmax(1) == targets).mean() < 0.5
    if head != "logistic":
        assert (trained.logits[train].argmax(1) == targets).mean() > 0.6
    others = np.setdiff1d(np.arange(len(x)), train)
    assert found[others].tobytes() == trained.logits[others].tobytes()


def test_a_class_of_one_group_keeps_the_logits_of_the_whole_head() -> None:
    x, samples = blobs(60)
    rows = tuple(
        replace(sample, group="all trucks") if sample.label == "truck" and sample.split == "train" else sample
        for sample in samples.samples
    )
    alone = Samples.of(CLASSES, rows)
    trained, found = with_folds(x, alone, SETTINGS)
    trucks = alone.train.rows[alone.train.targets == 2]
    assert found[trucks].tobytes() == trained.logits[trucks].tobytes()


def test_without_a_scheduler_the_lr_stays() -> None:
    _, _, history = overfitting(SETTINGS)
    assert {epoch.lr for epoch in history} == {SETTINGS.lr}


def test_the_cosine_lr_is_that_of_torch() -> None:
    _, _, history = overfitting(replace(SETTINGS, scheduler="cosine", epochs=12))
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=SETTINGS.lr)
    scheduler, expected = CosineAnnealingLR(optimizer, T_max=12), []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert [epoch.lr for epoch in history] == pytest.approx(expected)


def test_the_plateau_lr_is_that_of_torch_and_falls_to_a_fifth_after_ten_epochs_without_progress() -> None:
    _, _, history = overfitting(settings := replace(SETTINGS, scheduler="plateau", epochs=40, lr=0.1))
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    scheduler, expected = ReduceLROnPlateau(optimizer, factor=0.2, patience=10), []
    for epoch in history:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(epoch.val_loss)
    assert [epoch.lr for epoch in history] == pytest.approx(expected)
    assert min(expected) == pytest.approx(settings.lr / 125)


@pytest.mark.parametrize(("balance", "share"), [("none", 0.1), ("loss", 0.5), ("sampler", 0.5)])
def test_balance_weighs_classes_as_often_as_they_are_rare(balance: str, share: float) -> None:
    # features that say nothing: what is left to learn is how often a class is to be expected
    targets = [0] * 180 + [1] * 20
    rows = Batch(torch.zeros(200, 2), torch.tensor(targets))
    head = networks.linear_head(rows.x, 2, dropout=0.0, seed=0)
    settings = replace(SETTINGS, balance=balance, epochs=150, batch_size=200, lr=0.05, scheduler="cosine")
    # validation asks for the share that the balance should lead to, so the last epochs are the best
    wanted = [0] * round(100 * (1 - share)) + [1] * round(100 * share)
    network_fit.fit_network_head(
        head, train=rows, val=Batch(torch.zeros(100, 2), torch.tensor(wanted)), settings=settings, name=""
    )
    assert head(torch.zeros(1, 2)).softmax(1)[0, 1].item() == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize(("balance", "is_high"), [("none", False), ("loss", True), ("sampler", True)])
def test_balance_finds_the_rare_class(balance: str, is_high: bool) -> None:
    rng = np.random.default_rng(0)
    targets = np.where(rng.random(1000) < 0.05, 1, 0)
    x = torch.from_numpy((rng.normal(size=(1000, 2)) + 1.5 * targets[:, None]).astype(np.float32))
    rows = Batch(x, torch.from_numpy(targets))
    settings = replace(SETTINGS, balance=balance, epochs=15)
    head = networks.linear_head(x, 2, dropout=0.0, seed=0)
    even = torch.cat([rows.targets.nonzero()[:, 0], (rows.targets == 0).nonzero()[: int(targets.sum()), 0]])
    val = Batch(x[even], rows.targets[even]) if balance != "none" else rows
    network_fit.fit_network_head(head, train=rows, val=val, settings=settings, name="unbalanced")
    recall = (head(x).argmax(1) == 1)[rows.targets == 1].float().mean().item()
    assert (recall > 0.7) == is_high


class Memory(nn.Module):
    """A linear layer that remembers which rows it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)
        self.batches: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.batches.append(x[:, 0].clone())
        return self.layer(x)


@pytest.mark.parametrize("balance", ["none", "loss", "sampler"])
def test_an_epoch_sees_as_many_rows_as_there_are_and_the_last_batch_may_be_of_one(balance: str) -> None:
    rows = Batch(torch.arange(9.0)[:, None], torch.tensor([0, 1, 2] * 3))
    head = Memory()
    network_fit.fit_network_head(
        head, train=rows, val=rows, settings=replace(SETTINGS, batch_size=4, balance=balance), name=""
    )
    assert [len(batch) for batch in head.batches] == [4, 4, 1] * 5
    epochs = [torch.cat(head.batches[start : start + 3]).tolist() for start in range(0, 15, 3)]
    assert len({tuple(epoch) for epoch in epochs}) == 5  # every epoch in an order of its own
    if balance != "sampler":
        assert all(sorted(epoch) == list(range(9)) for epoch in epochs)


def test_the_sampler_draws_every_class_equally_often() -> None:
    targets = torch.tensor([0] * 800 + [1] * 150 + [2] * 50)
    rows = Batch(targets[:, None].float(), targets)
    head = Memory()
    network_fit.fit_network_head(
        head, train=rows, val=rows, settings=replace(SETTINGS, balance="sampler", batch_size=100), name=""
    )
    drawn = torch.bincount(torch.cat(head.batches).long()) / 5000
    assert drawn.tolist() == pytest.approx([1 / 3] * 3, abs=4 * (2 / 9 / 5000) ** 0.5)


def test_a_feature_net_takes_a_last_batch_of_one() -> None:
    rows = some_rows([0, 1, 0, 1, 0], dim=4)
    head = networks.feature_head(rows.x, 2, dims=[2, 2], width=8, dropout=0.5, seed=0)
    history = network_fit.fit_network_head(
        head, train=rows, val=rows, settings=replace(SETTINGS, batch_size=2, epochs=1), name="feature"
    )
    assert np.isfinite(history[0].val_loss)


def test_one_batch_without_shuffling_is_one_step_of_adam() -> None:
    rows = some_rows([0, 1, 2, 0, 1, 2, 2, 2])
    head, reference = (networks.linear_head(rows.x, 3, dropout=0.0, seed=0) for _ in range(2))
    settings = replace(SETTINGS, epochs=1, balance="loss", weight_decay=0.1)
    history = network_fit.fit_network_head(head, train=rows, val=rows, settings=settings, name="one step")
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1)
    weight = torch.tensor([8 / (3 * 2), 8 / (3 * 2), 8 / (3 * 4)])  # scikit-learn's class_weight="balanced"
    loss = functional.cross_entropy(reference(rows.x), rows.targets, weight=weight)
    loss.backward()
    optimizer.step()
    assert history[0].train_loss == pytest.approx(loss.item(), rel=1e-5)
    for one, other in zip(head.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_lr() -> None:
    x, samples = blobs()
    with pytest.raises(DataError, match=r"blobs: the loss is not finite in epoch \d+ \(lr 1e\+38\); take a lower"):
        heads.train_head(x, samples, settings=replace(SETTINGS, lr=1e38), name="blobs")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_that_is_missing_from_a_split_is_an_error(split: str) -> None:
    x, samples = blobs()
    rows = [
        replace(sample, split="test") if sample.label == "truck" and sample.split == split else sample
        for sample in samples.samples
    ]
    with pytest.raises(LeakageError, match=f"no image of truck in {split} "):
        heads.train_head(x, Samples.of(CLASSES, tuple(rows)), settings=SETTINGS, name="blobs")


def test_test_rows_have_no_part_in_training() -> None:
    x, samples = blobs()
    first = heads.train_head(x, samples, settings=SETTINGS, name="blobs")
    x[samples.test.rows] = 1e6
    again = heads.train_head(x, samples, settings=SETTINGS, name="blobs")
    assert state_bytes(first.head) == state_bytes(again.head)
    assert first.curve == again.curve


def test_rows_that_are_mapped_from_a_file_are_as_good_as_others(tmp_path: Path) -> None:
    x, samples = blobs()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, other = (heads.train_head(rows, samples, settings=SETTINGS, name="blobs") for rows in (x, mapped))
    assert one.logits.tobytes() == other.logits.tobytes()


def test_predictions_do_not_depend_on_how_many_rows_there_are() -> None:
    x = some_rows([0] * 5000).x
    head = networks.linear_head(x, 2, dropout=0.5, seed=0)
    whole = network_fit.predict(head, x)
    assert whole.shape == (5000, 2)
    assert torch.allclose(whole[4990:], network_fit.predict(head, x[4990:]), atol=1e-6)
    assert not whole.requires_grad


@pytest.mark.parametrize("head", ["linear", "logistic", "mlp"])
def test_views_are_rows_in_training_and_means_of_logits_after_it(head: str) -> None:
    x, samples = blobs()
    views = np.stack([x, x + np.random.default_rng(0).normal(size=x.shape).astype(np.float32)], axis=1)
    settings = replace(SETTINGS, head=head)  # type: ignore[arg-type]
    trained = heads.train_head(views, samples, settings=settings, name="blobs")
    one, other = (logits_of(trained.head, views[:, view].copy()) for view in (0, 1))
    assert np.allclose(trained.logits, (one + other) / 2, atol=1e-5)
    if head == "logistic":  # the same fit as to the rows of both views in one table
        rows, targets = samples.train.rows, samples.train.targets
        flat = StandardScaler().fit(views[rows].reshape(-1, 6))
        model = LogisticRegression(C=trained.chosen["strength"], max_iter=1000)
        model.fit(flat.transform(views[rows].reshape(-1, 6)), targets.repeat(2))
        expected = model.decision_function(flat.transform(x)) / trained.chosen["temperature"]
        assert np.allclose(one - one.mean(1, keepdims=True), expected, atol=0.05)


@pytest.mark.parametrize("head", ["linear", "logistic"])
def test_a_single_view_is_the_row_itself(head: str) -> None:
    x, samples = blobs()
    settings = replace(SETTINGS, head=head)  # type: ignore[arg-type]
    one, other = (heads.train_head(rows, samples, settings=settings, name="blobs") for rows in (x, x[:, None]))
    assert one.logits.tobytes() == other.logits.tobytes()
    held = [with_folds(rows, samples, settings)[1] for rows in (x, x[:, None])]
    assert held[0].tobytes() == held[1].tobytes()
