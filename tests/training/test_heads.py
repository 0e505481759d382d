"""Heads on planted blobs, against scikit-learn's logistic regression; saved and read again.

The fits themselves: test_linear_fit.py, test_logistic.py, test_network_fit.py.
"""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import sklearn.metrics
import torch
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from cores import on_cores
from factories import CLASSES, blobs, split_samples, train_settings
from tandem.evaluation.calibration import fit_temperature
from tandem.tables.logits import load_logits
from tandem.tables.samples import SPLITS, Samples, Split
from tandem.tables.splits import stratified_group_folds
from tandem.training import networks
from tandem.training.fitting.network_fit import NetworkHead, network_logits
from tandem.training.heads import HEADS, Trained, head_summary, save_head, train_all, train_folds, train_head
from tandem.training.linear import Linear, load_linear
from tandem.training.settings import TrainSettings
from tandem.training.task import Head, head_task

SETTINGS = train_settings(batch_size=16, epochs=5)
each_head = pytest.mark.parametrize("head", ["linear", "logistic", "mlp"])


def trained_on(features: np.ndarray, samples: Samples, settings: TrainSettings = SETTINGS) -> Trained:
    return train_head(head_task(features, samples, settings, "blobs"))


def state_bytes(head: Head) -> list[bytes]:
    if isinstance(head, Linear):
        return [value.tobytes() for value in head]
    assert isinstance(head, NetworkHead)
    return [value.numpy().tobytes() for value in head.net.state_dict().values()]


def test_every_head_that_params_may_name_is_in_the_table() -> None:
    assert set(get_args(get_type_hints(TrainSettings)["head"])) == set(HEADS) - {"fusion"}


def test_a_linear_head_is_as_good_as_logistic_regression() -> None:
    features, samples = blobs(1500)
    trained = trained_on(features, samples, train_settings(epochs=20, batch_size=32))
    train, test = samples.train, samples.test
    reference = LogisticRegression(max_iter=1000).fit(features[train.rows], train.targets)
    accuracy = (trained.logits[test.rows].argmax(1) == test.targets).mean()
    assert accuracy == pytest.approx(reference.score(features[test.rows], test.targets), abs=0.02)
    assert accuracy > 0.6


@each_head
def test_the_logits_are_those_of_the_head_for_every_image_in_order(head: str) -> None:
    features, samples = blobs()
    trained = trained_on(features, samples, replace(SETTINGS, head=head))
    assert trained.logits == pytest.approx(trained.head.logits(features), abs=1e-5)
    assert trained.logits.dtype == np.float32


def test_a_linear_head_is_a_layer_on_features_standardised_by_the_train_images() -> None:
    features, samples = blobs()
    trained = trained_on(features, samples)
    assert isinstance(trained.head, Linear)
    mean, std, weight, bias = trained.head
    train = features[samples.train.rows]
    assert np.allclose([mean, std], [train.mean(axis=0), train.std(axis=0)], atol=1e-5)
    assert trained.logits == pytest.approx((features - mean) / std @ weight.T + bias, abs=1e-4)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("balance", ["sampler", "loss", "none"])
def test_the_same_seed_gives_the_same_bytes_whatever_was_sampled_before(head: str, balance: str) -> None:
    features, samples = blobs()
    settings = replace(SETTINGS, head=head, dropout=0.5, balance=balance)
    before = torch.get_rng_state()
    first = trained_on(features, samples, settings)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again = trained_on(features, samples, settings)
    other = trained_on(features, samples, replace(settings, seed=1))
    assert state_bytes(first.head) == state_bytes(again.head) != state_bytes(other.head)
    assert first.curve == again.curve
    assert first.logits.tobytes() == again.logits.tobytes()


def test_heads_of_several_kinds_are_trained_in_one_call_as_each_alone() -> None:
    features, samples = blobs()
    kinds = ["mlp", "linear", "logistic", "linear"]
    tasks = [
        head_task(features, samples, replace(SETTINGS, head=head, seed=seed), head) for seed, head in enumerate(kinds)
    ]
    together, alone = train_all(tasks), [train_head(task) for task in tasks]
    assert [each.logits.tobytes() for each in together] == [each.logits.tobytes() for each in alone]


@each_head
def test_the_bytes_do_not_depend_on_the_number_of_cores(head: str) -> None:
    features, samples = blobs(dim=300)
    found = []
    for num_cores in (1, 2):
        with on_cores(num_cores):
            settings = replace(SETTINGS, head=head, epochs=2)
            found.append(trained_on(features, samples, settings).logits.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("head", "files"),
    [
        ("linear", {"head.npz", "logits.npz", "choices.json", "curves.csv"}),
        ("logistic", {"head.npz", "logits.npz", "choices.json"}),
        ("mlp", {"network.npz", "logits.npz", "choices.json", "curves.csv"}),
    ],
)
def test_saved_folders_have_the_same_bytes_twice(head: str, files: set[str], tmp_path: Path) -> None:
    features, samples = blobs()
    digests = []
    for name in ("one", "two"):
        trained = trained_on(features, samples, replace(SETTINGS, head=head))
        save_head(trained, samples, tmp_path / name)
        saved = sorted((tmp_path / name).iterdir())
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in saved})
    assert digests[0] == digests[1]
    assert digests[0].keys() == files


def test_a_saved_linear_head_can_be_read_again(tmp_path: Path) -> None:
    features, samples = blobs()
    trained = trained_on(features, samples)
    save_head(trained, samples, tmp_path, out_of_fold=2 * trained.logits)
    head = load_linear(tmp_path / "head.npz")
    assert state_bytes(head) == state_bytes(trained.head)
    assert head.logits(features) == pytest.approx(trained.logits, abs=1e-5)
    for stem, factor in {"logits": 1, "out_of_fold": 2}.items():
        logits = load_logits(tmp_path / f"{stem}.npz")
        assert (logits.ids, logits.class_names) == (samples.ids, CLASSES)
        assert logits.values.tobytes() == (factor * trained.logits).tobytes()


def test_a_saved_network_can_be_read_again(tmp_path: Path) -> None:
    features, samples = blobs()
    trained = trained_on(features, samples, replace(SETTINGS, head="mlp"))
    save_head(trained, samples, tmp_path)
    mlp = networks.mlp_head(torch.zeros(1, features.shape[1]), 3, dropout=0.0, seed=5)
    net = networks.TemperatureScaled(mlp, 1.0)
    with np.load(tmp_path / "network.npz") as arrays:
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    assert network_logits(net, torch.from_numpy(features)).numpy().tobytes() == trained.logits.tobytes()


def test_the_curves_have_one_line_an_epoch(tmp_path: Path) -> None:
    features, samples = blobs()
    trained = trained_on(features, samples)
    save_head(trained, samples, tmp_path)
    with (tmp_path / "curves.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["epoch", "lr", "train_loss", "train_top1_accuracy", "val_loss", "val_top1_accuracy"]
    assert [line["epoch"] for line in lines] == ["1", "2", "3", "4", "5"]
    for line, epoch in zip(lines, trained.curve, strict=True):
        assert float(line["val_loss"]) == pytest.approx(epoch.val_loss, abs=1e-6)


@pytest.mark.parametrize(("head", "choice"), [("linear", "best_epoch"), ("logistic", "C"), ("mlp", "best_epoch")])
def test_the_summary_holds_what_was_chosen_and_the_scores_of_what_is_kept(head: str, choice: str) -> None:
    features, samples = blobs()
    trained = trained_on(features, samples, replace(SETTINGS, head=head))
    summary = head_summary(trained, samples)
    assert list(summary)[:2] == [choice, "temperature"]
    for name, split in {"val": samples.val, "train": samples.train}.items():
        probs = special.softmax(trained.logits[split.rows].astype(np.float64), axis=1)
        assert summary[f"{name}_loss"] == pytest.approx(sklearn.metrics.log_loss(split.targets, probs), abs=1e-6)
        assert summary[f"{name}_top1_accuracy"] == pytest.approx((probs.argmax(1) == split.targets).mean())


def test_the_temperature_never_raises_the_log_loss_on_validation() -> None:
    features, samples = blobs(spread=6.0)
    trained = trained_on(features, samples, replace(SETTINGS, lr=0.5, epochs=20))
    uncalibrated = torch.from_numpy(trained.logits[samples.val.rows] * trained.choices["temperature"])
    before = functional.cross_entropy(uncalibrated, torch.from_numpy(samples.val.targets)).item()
    assert head_summary(trained, samples)["val_loss"] <= before + 1e-6
    assert trained.choices["temperature"] > 1  # such a lr makes a head too sure


@pytest.mark.parametrize("head", ["linear", "logistic"])
def test_the_temperature_is_that_of_validation_and_of_no_other_split(head: str) -> None:
    features, samples = blobs()
    targets = samples.targets.copy()
    targets[samples.val.rows] = np.random.default_rng(0).permutation(targets[samples.val.rows])  # nobody can know them
    samples = replace(samples, targets=targets)
    trained = trained_on(features, samples, replace(SETTINGS, head=head, lr=0.1))
    temperature = trained.choices["temperature"]
    raw = trained.logits.astype(np.float64) * temperature
    of_split = {name: fit_temperature(raw[split.rows], split.targets) for name, split in splits_of(samples).items()}
    assert temperature == pytest.approx(of_split["val"], rel=1e-3)
    assert of_split["val"] > 2 * max(of_split["train"], of_split["test"])


def splits_of(samples: Samples) -> dict[str, Split]:
    return {name: samples.split(name) for name in SPLITS}


def test_a_logistic_head_is_the_logistic_regression_of_scikit_learn() -> None:
    features, samples = blobs(600)
    trained = trained_on(features, samples, replace(SETTINGS, head="logistic"))
    rows = samples.train.rows
    scaler = StandardScaler().fit(features[rows].astype(np.float64))
    reference = LogisticRegression(C=trained.choices["C"], max_iter=1000, tol=1e-8)
    reference.fit(scaler.transform(features[rows]), samples.train.targets)
    expected = reference.predict_proba(scaler.transform(features))
    uncalibrated = trained.logits.astype(np.float64) * trained.choices["temperature"]
    assert special.softmax(uncalibrated, axis=1) == pytest.approx(expected, abs=2e-3)
    assert trained.curve == ()


def test_the_folds_of_train_are_of_whole_groups_by_their_own_number_and_the_seed_of_training() -> None:
    features, samples = blobs(60)
    samples = replace(samples, groups=np.array([f"{split}{row // 3}" for row, split in enumerate(samples.splits)]))
    found = {}
    for seed, folds in ((0, 4), (1, 4), (0, 5)):
        task = head_task(features, samples, train_settings(seed=seed, folds=folds), "blobs")
        found[seed, folds] = train_folds(task).tolist()
        train = samples.train
        assert (
            found[seed, folds]
            == stratified_group_folds(train.targets, train.groups, num_folds=folds, seed=seed).tolist()
        )
        by_group = set(zip(train.groups.tolist(), found[seed, folds], strict=True))
        assert len(by_group) == len(set(train.groups.tolist()))
    assert found[0, 4] != found[1, 4]
    assert max(found[0, 5]) == 4


def test_an_mlp_head_separates_what_no_line_separates() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 2)).astype(np.float32)
    targets = ((features[:, 0] * features[:, 1] > 0) + 0).astype(np.int64)
    targets[np.isin(np.arange(600) % 60, (3, 16, 28))] = 2
    samples = split_samples(targets)
    accuracy = {}
    for head in ("linear", "mlp"):
        trained = trained_on(features, samples, replace(SETTINGS, head=head, epochs=30))
        accuracy[head] = (trained.logits[samples.test.rows].argmax(1) == samples.test.targets).mean()
    assert accuracy["mlp"] > 0.85 > 0.7 > accuracy["linear"]


def test_test_images_have_no_part_in_training() -> None:
    features, samples = blobs()
    first = trained_on(features, samples)
    features[samples.test.rows] = 1e6
    again = trained_on(features, samples)
    assert state_bytes(first.head) == state_bytes(again.head)
    assert first.curve == again.curve


@each_head
def test_views_are_rows_in_training_and_means_of_logits_after_it(head: str) -> None:
    features, samples = blobs()
    noise = np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    views = np.stack([features, features + noise], axis=1)
    trained = trained_on(views, samples, replace(SETTINGS, head=head))
    one, other = (trained.head.logits(views[:, view].copy()) for view in (0, 1))
    assert np.allclose(trained.logits, (one + other) / 2, atol=1e-5)
    if head == "logistic":  # the same fit as to the rows of both views in one table
        rows = views[samples.train.rows].reshape(-1, 6)
        scaler = StandardScaler().fit(rows)
        model = LogisticRegression(C=trained.choices["C"], max_iter=1000)
        model.fit(scaler.transform(rows), samples.train.targets.repeat(2))
        expected = model.decision_function(scaler.transform(features)) / trained.choices["temperature"]
        assert np.allclose(one - one.mean(1, keepdims=True), expected, atol=0.05)


@each_head
def test_a_single_view_is_the_image_itself(head: str) -> None:
    features, samples = blobs()
    settings = replace(SETTINGS, head=head)
    one, other = (trained_on(rows, samples, settings) for rows in (features, features[:, None]))
    assert one.logits.tobytes() == other.logits.tobytes()
