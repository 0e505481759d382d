"""Ensembles on planted features: two backbones that each see a part of what tells the classes apart."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from scipy import special

from tandem import ensembling, training
from tandem.ensembling import Ensemble
from tandem.files import read_json
from tandem.logits import load_logits
from tandem.samples import SPLITS, Sample, Samples
from tandem.training import Settings

CLASSES = ("car", "motorcycle", "truck")
SETTINGS = Settings(
    lr=0.001,
    batch_size=32,
    epochs=2,
    weight_decay=0.0,
    dropout=0.5,
    scheduler="none",
    balance="none",
    seed=0,
)


def planted(num_rows: int = 100, *, num_backbones: int = 2) -> tuple[dict[str, np.ndarray], Samples]:
    """Backbone -> features in which the class is visible through noise."""
    rng = np.random.default_rng(0)
    targets = np.arange(num_rows) % 3
    splits = rng.permutation([SPLITS[row % 3] for row in range(num_rows)]).tolist()
    samples = tuple(
        Sample(f"{row:03}", CLASSES[target], "drawn", f"{row:03}", split)
        for row, (target, split) in enumerate(zip(targets.tolist(), splits, strict=True))
    )
    features = {
        f"backbone{number}": (rng.normal(size=(num_rows, 4 + number)) + np.eye(3, 4 + number)[targets]).astype(
            np.float32
        )
        for number in range(num_backbones)
    }
    return features, Samples(CLASSES, samples)


def members(features: dict[str, np.ndarray], samples: Samples) -> dict[str, np.ndarray]:
    chosen = replace(SETTINGS, lr=0.05, dropout=0.0)
    return {name: training.train_linear(x, samples, settings=chosen, name=name).logits for name, x in features.items()}


def combine(features: dict[str, np.ndarray], samples: Samples, settings: Settings = SETTINGS) -> dict[str, Ensemble]:
    return ensembling.combine_all(
        features=features, logits=members(features, samples), samples=samples, settings=settings
    )


def state_bytes(ensemble: Ensemble) -> list[bytes]:
    assert ensemble.trained is not None
    return [value.numpy().tobytes() for value in ensemble.trained.head.state_dict().values()]


def test_the_mean_averages_probs() -> None:
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(20, 3)).astype(np.float32) * scale for scale in (1, 5, 30)]
    found = special.softmax(ensembling.mean_logits(logits), axis=1)
    assert found == pytest.approx(np.mean([special.softmax(part, axis=1) for part in logits], axis=0), abs=1e-6)


def test_the_mean_of_probs_of_0_is_finite() -> None:
    found = ensembling.mean_logits([np.array([[0, -3e38]], dtype=np.float32)] * 2)
    assert np.isfinite(found).all()
    assert found.dtype == np.float32


@pytest.mark.parametrize("num_backbones", [1, 2, 3])
def test_any_number_of_backbones_gives_the_three_kinds(num_backbones: int) -> None:
    features, samples = planted(num_backbones=num_backbones)
    found = combine(features, samples, replace(SETTINGS, epochs=1))
    assert list(found) == ["mean", "logit", "feature"]
    assert all(made.logits.shape == (100, 3) for made in found.values())
    assert all(np.isfinite(made.logits).all() for made in found.values())
    assert found["mean"].trained is None


def test_the_networks_have_the_shapes_of_the_recipe() -> None:
    features, samples = planted()
    found = combine(features, samples, replace(SETTINGS, epochs=1))
    shapes = {
        kind: [tuple(parameter.shape) for parameter in found[kind].trained.head.parameters()]
        for kind in ("logit", "feature")
    }
    assert shapes["logit"] == [(3, 6), (3,)]
    assert shapes["feature"] == [
        *[(1024, 4), (1024,), (1024, 5), (1024,)],
        *[(2048,), (2048,), (1024, 2048), (1024,)],
        *[(1024,), (1024,), (512, 1024), (512,)],
        *[(512,), (512,), (3, 512), (3,)],
    ]
    dropouts = [layer.p for layer in found["feature"].trained.head.modules() if isinstance(layer, torch.nn.Dropout)]
    assert dropouts == [0.5, 0.5, 0.5]


def test_the_logit_ensemble_separates_what_its_members_separate_together() -> None:
    # one member tells cars from the rest, the other one trucks from the rest
    _, samples = planted()
    labels = np.array([sample.label for sample in samples.samples])
    noise = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    logits = {
        name: noise + 10 * np.outer(labels == name, np.eye(3)[CLASSES.index(name)]).astype(np.float32)
        for name in ("car", "truck")
    }
    settings = replace(SETTINGS, lr=0.1, epochs=30)
    found = ensembling.combine_all(
        features={"any": noise}, logits=logits, samples=samples, settings=replace(settings, epochs=30)
    )
    test = samples.rows("test")
    assert (found["logit"].logits[test].argmax(1) == samples.targets("test")).all()


def test_the_feature_ensemble_learns() -> None:
    features, samples = planted(300)
    for x in features.values():
        x[:, :3] *= 3
    found = combine(features, samples, replace(SETTINGS, epochs=4))
    test = samples.rows("test")
    assert (found["feature"].logits[test].argmax(1) == samples.targets("test")).mean() > 0.6


@pytest.mark.parametrize("kind", ["mean", "logit", "feature"])
def test_a_kind_that_is_asked_for_is_taken(kind: str) -> None:
    assert ensembling.choose(kind, {}, planted()[1]) == kind


def test_best_is_the_lowest_log_loss_on_validation() -> None:
    _, samples = planted()
    rng = np.random.default_rng(2)
    ensembles = {kind: Ensemble(rng.normal(size=(100, 3)).astype(np.float32), None) for kind in "abcdef"}
    rows, targets = samples.rows("val"), samples.targets("val")
    losses = {
        kind: sklearn.metrics.log_loss(
            targets, special.softmax(made.logits[rows].astype(np.float64), axis=1), labels=range(3)
        )
        for kind, made in ensembles.items()
    }
    assert ensembling.choose("best", ensembles, samples) == min(losses, key=losses.__getitem__)
    assert ensembling.summary(ensembles, samples, shipped="b")["shipped"] == "b"
    for kind, scores in ensembling.summary(ensembles, samples, shipped="b")["val"].items():
        assert scores["log_loss"] == pytest.approx(losses[kind])


def test_of_several_best_ones_the_first_is_taken() -> None:
    _, samples = planted()
    same = Ensemble(np.zeros((100, 3), dtype=np.float32), None)
    assert ensembling.choose("best", {"mean": same, "logit": same}, samples) == "mean"


def test_neither_weights_nor_the_choice_look_at_the_test_rows() -> None:
    features, samples = planted()
    first = combine(features, samples)
    rows = samples.rows("test")
    others = {name: x.copy() for name, x in features.items()}
    for x in others.values():
        x[rows] = 1e3 * x[rows][::-1]
    labels = {int(row): samples.samples[other].label for row, other in zip(rows, np.roll(rows, 1), strict=True)}
    turned = Samples(
        CLASSES,
        tuple(replace(sample, label=labels.get(row, sample.label)) for row, sample in enumerate(samples.samples)),
    )
    assert turned != samples
    second = combine(others, turned)
    for kind in ("logit", "feature"):
        assert state_bytes(first[kind]) == state_bytes(second[kind])
    assert ensembling.choose("best", first, samples) == ensembling.choose("best", second, turned)
    assert ensembling.summary(first, samples, shipped="mean") == ensembling.summary(second, turned, shipped="mean")


def test_saved_folders_hold_what_was_made_and_have_the_same_bytes_twice(tmp_path: Path) -> None:
    features, samples = planted(num_backbones=1)
    digests = []
    for name in ("one", "two"):
        made = combine(features, samples, replace(SETTINGS, epochs=1))
        ensembling.save(made, samples, tmp_path / name, shipped="logit")
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append(
            {
                path.relative_to(tmp_path / name).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in files
            }
        )
    assert digests[0] == digests[1]
    trained = [f"{kind}/{file}" for kind in ("feature", "logit") for file in ("curves.csv", "head.pt", "logits.npz")]
    assert list(digests[0]) == [*trained, "mean/logits.npz", "shipped.json"]
    assert read_json(tmp_path / "one" / "shipped.json") == {"shipped": "logit", "kinds": ["mean", "logit", "feature"]}
    for kind, ensemble in made.items():
        saved = load_logits(tmp_path / "one" / kind / "logits.npz")
        assert saved.ids == tuple(samples.ids)
        assert saved.values.tobytes() == ensemble.logits.tobytes()
