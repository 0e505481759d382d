"""Ensembles on planted features: two backbones that each see a part of what tells the classes apart."""

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from scipy import special

from tandem.evaluation import calibration
from tandem.evaluation import scores as scoring
from tandem.files import read_json
from tandem.tables.logits import load_logits
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.tables.splits import stratified_group_folds
from tandem.training import averaging
from tandem.training import ensembles as ensembling
from tandem.training import heads as training
from tandem.training.ensembles import Ensemble, EnsembleInputs
from tandem.training.heads import TrainSettings
from tandem.training.linear import Linear

CLASSES = ("car", "motorcycle", "truck")
KINDS = ["mean", "weighted", "greedy", "stack", "logit", "feature"]
SETTINGS = TrainSettings(
    head="linear",
    lr=0.001,
    batch_size=32,
    epochs=2,
    patience=1000,
    weight_decay=0.0,
    dropout=0.5,
    scheduler="none",
    balance="none",
    stratified_group_folds=3,
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
    return features, Samples.of(CLASSES, samples)


def members(features: dict[str, np.ndarray], samples: Samples) -> dict[str, np.ndarray]:
    chosen = replace(SETTINGS, lr=0.05, dropout=0.0)
    return {name: training.train_head(x, samples, settings=chosen, name=name).logits for name, x in features.items()}


def combine(
    features: dict[str, np.ndarray], samples: Samples, settings: TrainSettings = SETTINGS
) -> dict[str, Ensemble]:
    logits = members(features, samples)
    library = {"weak": np.zeros_like(next(iter(logits.values())))}
    combined = EnsembleInputs(features=features, logits=logits, out_of_fold=logits, library=library)
    return ensembling.combine_all(combined, samples, settings=settings, width=64)


def state_bytes(ensemble: Ensemble) -> list[bytes]:
    assert ensemble.trained is not None
    head = ensemble.trained.head
    values = head if isinstance(head, Linear) else [value.numpy() for value in head.state_dict().values()]
    return [value.tobytes() for value in values]


def test_the_mean_averages_probs() -> None:
    features, samples = planted(num_backbones=3)
    logits = members(features, samples)
    found = ensembling.weighted_means(logits, samples)["mean"]
    expected = np.mean([special.softmax(part.astype(np.float64), axis=1) for part in logits.values()], axis=0)
    temperature = calibration.fit_temperature(np.log(expected)[samples.val.rows], target=samples.val.targets)
    assert found.logits == pytest.approx(np.log(expected) / temperature, abs=1e-3)
    assert found.weights == pytest.approx(dict.fromkeys(logits, 1 / 3))


def test_the_weighted_mean_trusts_the_member_that_knows() -> None:
    _, samples = planted()
    targets = np.array([CLASSES.index(sample.label) for sample in samples.samples])
    rng = np.random.default_rng(0)
    knows = (rng.normal(size=(100, 3)) + 3 * np.eye(3)[targets]).astype(np.float32)
    guesses = (3 * rng.normal(size=(100, 3))).astype(np.float32)
    logits = {"knows": knows, "guesses": guesses}
    found = ensembling.weighted_means(logits, samples)
    both = ensembling.weighted_mean(logits, samples, lambda own: averaging.uniform_weights(len(own)))
    assert found["weighted"].weights["knows"] > 0.9
    assert found["weighted"].held_out.mean() < both.held_out.mean()
    assert found["mean"].weights == {"knows": 1.0}  # the other one is clearly worse


def test_weights_that_only_suit_the_rows_that_they_were_fitted_to_are_not_taken_for_good() -> None:
    # many members that guess: a selection of them fits any rows, but not those that are held out
    _, samples = planted(60)
    rng = np.random.default_rng(0)
    guesses = {f"guess {number}": (2 * rng.normal(size=(60, 3))).astype(np.float32) for number in range(40)}
    greedy = ensembling.weighted_mean(guesses, samples, partial(averaging.greedy_weights, seed=0))
    own = scoring.score(greedy.logits, samples, split="val")["log_loss"]
    assert own < np.log(3) - 0.2
    assert greedy.held_out.mean() > own + 0.1


@pytest.mark.parametrize("num_backbones", [1, 2, 3])
def test_any_number_of_backbones_gives_all_kinds(num_backbones: int) -> None:
    features, samples = planted(num_backbones=num_backbones)
    found = combine(features, samples, replace(SETTINGS, epochs=1))
    assert list(found) == KINDS
    assert all(made.logits.shape == (100, 3) for made in found.values())
    assert all(np.isfinite(made.logits).all() for made in found.values())
    assert [kind for kind in KINDS if found[kind].trained is None] == ["mean", "weighted", "greedy"]
    assert sum(found["greedy"].weights.values()) == pytest.approx(1)


def test_the_networks_have_the_shapes_of_the_recipe() -> None:
    features, samples = planted()
    found = ensembling.seed_ensembles(
        features, members(features, samples), samples, settings=replace(SETTINGS, epochs=1), width=1024
    )
    assert [part.shape for part in found["logit"].trained.head[2:]] == [(3, 6), (3,)]
    assert [tuple(parameter.shape) for parameter in found["feature"].trained.head.parameters()] == [
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
    together = EnsembleInputs(features={"any": noise}, logits=logits, out_of_fold=logits, library={})
    found = ensembling.combine_all(together, samples, settings=settings, width=8)
    test = samples.test.rows
    for kind in ("logit", "stack"):
        assert (found[kind].logits[test].argmax(1) == samples.test.targets).all()


def test_stacking_is_not_deceived_by_a_member_that_has_learnt_its_train_rows_by_heart() -> None:
    _, samples = planted(900)
    targets = np.array([CLASSES.index(sample.label) for sample in samples.samples])
    rng = np.random.default_rng(0)
    honest = (rng.normal(size=(900, 3)) + 2 * np.eye(3)[targets]).astype(np.float32)
    guesses = 4 * rng.normal(size=(900, 3)).astype(np.float32)
    by_heart = guesses.copy()
    rows = samples.train.rows
    by_heart[rows] += 20 * np.eye(3, dtype=np.float32)[targets[rows]]
    together = EnsembleInputs(
        features={"any": honest},
        logits={"honest": honest, "by heart": by_heart},
        out_of_fold={"honest": honest, "by heart": guesses},
        library={},
    )
    found = ensembling.combine_all(together, samples, settings=replace(SETTINGS, lr=0.1, epochs=20), width=8)
    scores = {kind: scoring.score(found[kind].logits, samples, split="test") for kind in ("stack", "logit")}
    alone = scoring.score(honest, samples, split="test")
    assert scores["stack"]["top1_accuracy"] >= alone["top1_accuracy"] - 0.03
    assert scores["stack"]["log_loss"] < scores["logit"]["log_loss"] - 0.05


def test_the_feature_ensemble_learns() -> None:
    features, samples = planted(300)
    for x in features.values():
        x[:, :3] *= 3
    found = combine(features, samples, replace(SETTINGS, epochs=8))
    test = samples.test.rows
    assert (found["feature"].logits[test].argmax(1) == samples.test.targets).mean() > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_is_asked_for_is_taken(kind: str) -> None:
    assert ensembling.select_ensemble(kind, {}, planted()[1]) == kind


def test_the_held_out_log_loss_is_that_of_folds_by_temperatures_of_the_others() -> None:
    _, samples = planted()
    rng = np.random.default_rng(2)
    models = {kind: rng.normal(size=(100, 3)).astype(np.float32) for kind in "abcdef"}
    ensembles = {
        kind: ensembling.weighted_mean({kind: x}, samples, lambda own: np.ones(1)) for kind, x in models.items()
    }
    rows, targets = samples.val.rows, samples.val.targets
    fold_of = stratified_group_folds(targets, samples.val.groups, num_folds=5, seed=0)
    losses = {}
    for kind, x in models.items():
        parts = []
        for fold in range(5):
            held = fold_of == fold
            temperature = calibration.fit_temperature(x[rows[~held]], target=targets[~held])
            probs = special.softmax(x[rows[held]].astype(np.float64) / temperature, axis=1)
            parts.append(sklearn.metrics.log_loss(targets[held], probs, labels=range(3)) * held.sum())
        losses[kind] = sum(parts) / len(rows)
    assert {kind: made.held_out.mean() for kind, made in ensembles.items()} == pytest.approx(losses, abs=1e-4)
    found = ensembling.ensemble_summary(ensembles, samples, selected="b")
    assert found["selected"] == "b"
    assert found["weights"] == {kind: {kind: 1.0} for kind in models}
    for kind, scores in found["val"].items():
        assert scores["held_out_log_loss"] == pytest.approx(losses[kind], abs=1e-4)


def scoring_by(losses: np.ndarray) -> Ensemble:
    return Ensemble(np.zeros((100, 3), dtype=np.float32), held_out=losses)


def test_of_several_best_ones_the_first_is_taken() -> None:
    _, samples = planted()
    same = scoring_by(np.full(len(samples.val.rows), 0.5))
    assert ensembling.select_ensemble("best", {"mean": same, "logit": same}, samples) == "mean"


@pytest.mark.parametrize(("times", "chosen"), [(1.9, "mean"), (2.1, "stack")])
def test_a_simpler_kind_is_selected_unless_it_is_worse_by_more_than_two_standard_errors(
    times: float, chosen: str
) -> None:
    _, samples = planted()
    num = len(samples.val.rows)
    better = np.random.default_rng(0).uniform(0.2, 0.8, num)
    wobble = np.random.default_rng(1).normal(size=num)
    wobble -= wobble.mean()
    groups = np.array(samples.val.groups)
    # the standard error of a mean of groups, said in another way: the spread of the groups' own sums
    sums = np.array([wobble[groups == group].sum() for group in sorted(set(groups))])
    worse = better + wobble + times * np.sqrt(len(sums)) * sums.std() / num
    kinds = {"mean": scoring_by(worse), "stack": scoring_by(better)}
    assert ensembling.select_ensemble("best", kinds, samples) == chosen


def test_neither_weights_nor_the_choice_look_at_the_test_rows() -> None:
    features, samples = planted()
    first = combine(features, samples)
    rows = samples.test.rows
    others = {name: x.copy() for name, x in features.items()}
    for x in others.values():
        x[rows] = 1e3 * x[rows][::-1]
    labels = {int(row): samples.samples[other].label for row, other in zip(rows, np.roll(rows, 1), strict=True)}
    turned = Samples.of(
        CLASSES,
        tuple(replace(sample, label=labels.get(row, sample.label)) for row, sample in enumerate(samples.samples)),
    )
    assert turned != samples
    second = combine(others, turned)
    assert first["weighted"].weights == second["weighted"].weights
    for kind in ("logit", "feature", "stack"):
        assert state_bytes(first[kind]) == state_bytes(second[kind])
    assert ensembling.select_ensemble("best", first, samples) == ensembling.select_ensemble("best", second, turned)
    assert ensembling.ensemble_summary(first, samples, selected="mean") == ensembling.ensemble_summary(
        second, turned, selected="mean"
    )


def test_saved_folders_hold_what_was_made_and_have_the_same_bytes_twice(tmp_path: Path) -> None:
    features, samples = planted(num_backbones=1)
    digests = []
    for name in ("one", "two"):
        made = combine(features, samples, replace(SETTINGS, epochs=1))
        ensembling.save_ensembles(made, samples, tmp_path / name, selected="logit")
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append(
            {
                path.relative_to(tmp_path / name).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in files
            }
        )
    assert digests[0] == digests[1]
    heads = {"feature": "head.pt", "logit": "head.npz"}
    trained = {f"{kind}/{file}" for kind in heads for file in ("curves.csv", heads[kind], "logits.npz")}
    means = {f"{kind}/{file}" for kind in ("mean", "weighted", "greedy") for file in ("logits.npz", "weights.json")}
    assert digests[0].keys() == trained | means | {"stack/head.npz", "stack/logits.npz", "selected.json"}
    assert read_json(tmp_path / "one" / "selected.json") == {"selected": "logit", "kinds": KINDS}
    for kind, ensemble in made.items():
        saved = load_logits(tmp_path / "one" / kind / "logits.npz")
        assert saved.ids == tuple(samples.ids)
        assert saved.values.tobytes() == ensemble.logits.tobytes()
