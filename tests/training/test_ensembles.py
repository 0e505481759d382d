"""Ensembles on planted features: two backbones that each see a part of what tells the classes apart."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from cores import on_cores
from factories import CLASSES, ensemble_settings, samples_of, train_settings
from tandem.evaluation.calibration import fit_temperature
from tandem.evaluation.scores import predictions_on, score
from tandem.files import read_json
from tandem.tables.features import write_features
from tandem.tables.logits import Logits, load_logits, save_logits, save_model_library
from tandem.tables.samples import SPLITS, Samples
from tandem.tables.splits import stratified_group_folds
from tandem.training.averaging import (
    average_probs,
    equal_weights,
    greedy_weights,
    max_likelihood_weights,
    uniform_weights,
)
from tandem.training.ensembles import (
    KINDS,
    Ensemble,
    EnsembleInputs,
    combine_all,
    fit_feature,
    fit_logit,
    fit_mean,
    fit_stack,
    fit_student,
    fit_weighted,
    load_inputs,
    logit_task,
    save_ensembles,
    weighted_mean,
)
from tandem.training.fusion.fusion_head import FusionHead
from tandem.training.heads import train_head
from tandem.training.linear import Linear
from tandem.training.selection import ensemble_summary, select_model
from tandem.training.settings import EnsembleKind, TrainSettings
from tandem.training.task import head_task

AVERAGES = ("mean", "weighted", "greedy")
SETTINGS = train_settings(lr=0.001, batch_size=32, epochs=2)
Arrays = Mapping[str, np.ndarray]


def planted(num_images: int = 100, *, num_backbones: int = 2) -> tuple[dict[str, np.ndarray], Samples]:
    """Backbone -> features in which the class is visible through noise."""
    rng = np.random.default_rng(0)
    targets = np.arange(num_images) % 3
    splits = rng.permutation([SPLITS[row % 3] for row in range(num_images)]).tolist()
    features = {
        f"backbone{number}": (rng.normal(size=(num_images, 4 + number)) + np.eye(3, 4 + number)[targets])
        for number in range(num_backbones)
    }
    in_float32 = {name: of_backbone.astype(np.float32) for name, of_backbone in features.items()}
    return in_float32, samples_of(targets.tolist(), splits)


def inputs_of(
    samples: Samples,
    logits: Arrays,
    *,
    features: Arrays | None = None,
    out_of_fold: Arrays | None = None,
    library: Arrays | None = None,
    train: TrainSettings = SETTINGS,
    width: int = 8,
) -> EnsembleInputs:
    return EnsembleInputs(
        samples=samples,
        features=features or logits,
        logits=logits,
        out_of_fold=out_of_fold or logits,
        library=library or {},
        train=train,
        ensemble=ensemble_settings(width=width),
    )


def base_logits(features: Arrays, samples: Samples) -> dict[str, np.ndarray]:
    settings = replace(SETTINGS, lr=0.05)
    tasks = {name: head_task(of_backbone, samples, settings, name) for name, of_backbone in features.items()}
    return {name: train_head(task).logits for name, task in tasks.items()}


def combined(features: Arrays, samples: Samples, train: TrainSettings = SETTINGS) -> dict[str, Ensemble]:
    logits = base_logits(features, samples)
    library = {"weak": np.zeros_like(next(iter(logits.values())))}
    return combine_all(inputs_of(samples, logits, features=features, library=library, train=train, width=64))


def state_bytes(ensemble: Ensemble) -> list[bytes]:
    assert ensemble.trained is not None
    head = ensemble.trained.head
    if isinstance(head, Linear):
        return [value.tobytes() for value in head]
    assert isinstance(head, FusionHead)
    return [value.tobytes() for value in (head.mean, head.std, *head.arrays)]


def accuracy_on_test(ensemble: Ensemble, samples: Samples) -> float:
    return score(predictions_on(samples.test, ensemble.logits))["top1_accuracy"]


# --- the table of kinds


def test_every_kind_that_params_may_name_is_in_the_table_in_that_order_and_says_what_it_is() -> None:
    assert list(KINDS) == list(get_args(EnsembleKind))
    assert all(fit.__doc__ and fit.__name__ == f"fit_{kind}" for kind, fit in KINDS.items())


def test_the_bytes_do_not_depend_on_the_number_of_cores() -> None:
    few, samples = planted()
    noise = np.random.default_rng(1).normal(size=(100, 300)).astype(np.float32)
    features = {name: np.concatenate([of_backbone, noise], axis=1) for name, of_backbone in few.items()}
    found = []
    for num_cores in (1, 2):
        with on_cores(num_cores):
            found.append({kind: each.logits.tobytes() for kind, each in combined(features, samples).items()})
    assert found[0] == found[1]


@pytest.mark.parametrize("num_backbones", [1, 2, 3])
def test_any_number_of_backbones_gives_all_kinds(num_backbones: int) -> None:
    features, samples = planted(num_backbones=num_backbones)
    found = combined(features, samples, replace(SETTINGS, epochs=1))
    assert list(found) == list(KINDS)
    assert all(ensemble.logits.shape == (100, 3) for ensemble in found.values())
    assert all(np.isfinite(ensemble.logits).all() for ensemble in found.values())
    assert tuple(kind for kind in KINDS if found[kind].trained is None) == AVERAGES
    assert sum(found["greedy"].weights.values()) == pytest.approx(1)


# --- averages


def test_the_mean_averages_probs() -> None:
    features, samples = planted(num_backbones=3)
    logits = base_logits(features, samples)
    found = fit_mean(inputs_of(samples, logits))
    expected = np.log(np.mean([special.softmax(part.astype(np.float64), axis=1) for part in logits.values()], axis=0))
    temperature = fit_temperature(expected[samples.val.rows], samples.val.targets)
    assert found.logits == pytest.approx(expected / temperature, abs=1e-3)
    assert found.weights == pytest.approx(dict.fromkeys(logits, 1 / 3))


def test_the_weighted_mean_trusts_the_model_that_knows_and_the_mean_leaves_the_other_one_out() -> None:
    _, samples = planted()
    rng = np.random.default_rng(0)
    knows = (rng.normal(size=(100, 3)) + 3 * np.eye(3)[samples.targets]).astype(np.float32)
    guesses = (3 * rng.normal(size=(100, 3))).astype(np.float32)
    inputs = inputs_of(samples, {"knows": knows, "guesses": guesses})
    weighted = fit_weighted(inputs)
    both = weighted_mean(inputs.logits, samples.val, lambda target_probs: uniform_weights(len(target_probs)))
    assert weighted.weights["knows"] > 0.9
    assert weighted.held_out_losses.mean() < both.held_out_losses.mean()
    assert fit_mean(inputs).weights == {"knows": 1.0}


def fooled_by_validation() -> tuple[Samples, Arrays, Arrays]:
    """A model that knows and one that was lucky on validation alone: logits, and those of heads unseen by train."""
    _, samples = planted(300)
    rng = np.random.default_rng(0)
    knows = (rng.normal(size=(300, 3)) + 2 * np.eye(3)[samples.targets]).astype(np.float32)
    lucky = rng.normal(size=(300, 3)).astype(np.float32)
    lucky[samples.val.rows] += 4 * np.eye(3, dtype=np.float32)[samples.val.targets]
    overfitted = lucky.copy()
    overfitted[samples.train.rows] += 9 * np.eye(3, dtype=np.float32)[samples.train.targets]
    return samples, {"knows": knows, "lucky": overfitted}, {"lucky": lucky, "knows": knows}


@pytest.mark.parametrize("fit", [fit_mean, fit_weighted])
def test_weights_rest_on_train_images_too_by_heads_that_have_not_seen_them(
    fit: Callable[[EnsembleInputs], Ensemble],
) -> None:
    samples, logits, out_of_fold = fooled_by_validation()
    on_both = fit(inputs_of(samples, logits, out_of_fold=out_of_fold)).weights
    alone = {name: inputs_of(samples, {name: logits[name]}) for name in logits}
    losses = {name: fit(each).held_out_losses.mean() for name, each in alone.items()}
    assert losses["lucky"] < losses["knows"]  # on validation
    # a mean of a model that is right on validation and one that is on train keeps both
    assert on_both.get("knows", 0) >= 0.4


@pytest.mark.parametrize("fit", [fit_mean, fit_weighted])
def test_train_images_that_a_backbone_has_seen_have_no_part_in_its_weight(
    fit: Callable[[EnsembleInputs], Ensemble],
) -> None:
    samples, logits, out_of_fold = fooled_by_validation()
    tuned = replace(SETTINGS, trainable_backbone_layers={"lucky": 1})
    frozen, unfrozen = (
        fit(inputs_of(samples, logits, out_of_fold=out_of_fold, train=train)).weights for train in (SETTINGS, tuned)
    )
    alone = weighted_mean(
        logits, samples.val, {fit_mean: equal_weights, fit_weighted: max_likelihood_weights}[fit]
    ).weights
    assert unfrozen == alone
    assert unfrozen != frozen


def test_weights_that_only_suit_the_images_that_they_were_fitted_to_do_not_look_good() -> None:
    # many models that guess: a selection of them fits any images, but not those that are held out
    _, samples = planted(60)
    rng = np.random.default_rng(0)
    guesses = {f"guess {number}": (2 * rng.normal(size=(60, 3))).astype(np.float32) for number in range(40)}
    greedy = weighted_mean(guesses, samples.val, partial(greedy_weights, seed=0))
    in_sample = score(predictions_on(samples.val, greedy.logits))["log_loss"]
    assert in_sample < np.log(3) - 0.2
    assert greedy.held_out_losses.mean() > in_sample + 0.1


def test_the_held_out_log_loss_is_that_of_folds_by_temperatures_of_the_others() -> None:
    _, samples = planted()
    rng = np.random.default_rng(2)
    groups = samples.groups.astype("<U20")
    for name in SPLITS:  # of three images: fold by image, they would be fitted to their own groups
        rows = samples.split(name).rows
        groups[rows] = [f"{name}{number // 3}" for number in range(len(rows))]
    samples = replace(samples, groups=groups)
    models = {kind: rng.normal(size=(100, 3)).astype(np.float32) for kind in "abcdef"}
    ensembles = {kind: weighted_mean({kind: one}, samples.val, lambda _: np.ones(1)) for kind, one in models.items()}
    rows, targets = samples.val.rows, samples.val.targets
    fold_of = stratified_group_folds(targets, samples.val.groups, num_folds=5, seed=0)
    losses = {}
    for kind, logits in models.items():
        total = 0.0
        for fold in range(5):
            is_held_out = fold_of == fold
            temperature = fit_temperature(logits[rows[~is_held_out]], targets[~is_held_out])
            probs = special.softmax(logits[rows[is_held_out]].astype(np.float64) / temperature, axis=1)
            total += sklearn.metrics.log_loss(targets[is_held_out], probs, labels=range(3)) * is_held_out.sum()
        losses[kind] = total / len(rows)
    found = {kind: ensemble.held_out_losses.mean() for kind, ensemble in ensembles.items()}
    assert found == pytest.approx(losses, abs=1e-4)


def test_the_seed_of_training_decides_the_bags_of_greedy_selection() -> None:
    _, samples = planted()
    rng = np.random.default_rng(3)
    library = {name: (rng.normal(size=(100, 3)) + np.eye(3)[samples.targets]).astype(np.float32) for name in "abcdefgh"}
    for seed in (0, 5):
        inputs = inputs_of(samples, {}, features=library, library=library, train=replace(SETTINGS, seed=seed))
        direct = weighted_mean(library, samples.val, partial(greedy_weights, seed=seed))
        assert KINDS["greedy"](inputs).logits.tobytes() == direct.logits.tobytes()
    assert direct.weights != weighted_mean(library, samples.val, partial(greedy_weights, seed=0)).weights


# --- what is trained on the base models


def test_the_seed_of_training_decides_how_the_feature_ensemble_begins() -> None:
    features, samples = planted()
    still = [  # a lr that moves no weight
        fit_feature(inputs_of(samples, features, train=replace(SETTINGS, epochs=1, lr=1e-30, seed=seed)))
        for seed in (0, 0, 1)
    ]
    one, again, other = map(state_bytes, still)
    assert one == again != other


def test_the_feature_ensemble_has_the_layers_of_the_seed_recipe_and_the_logit_ensemble_one() -> None:
    features, samples = planted()
    logits, once = base_logits(features, samples), replace(SETTINGS, epochs=1)
    inputs = inputs_of(samples, logits, features=features, train=once, width=1024)
    assert [part.shape for part in fit_logit(inputs).trained.head[2:]] == [(3, 6), (3,)]
    assert [array.shape for array in fit_feature(inputs).trained.head.arrays] == [
        *[(4, 1024), (1024,), (5, 1024), (1024,)],
        *[(2048,), (2048,), (2048, 1024), (1024,)],
        *[(1024,), (1024,), (1024, 512), (512,)],
        *[(512,), (512,), (512, 3), (3,)],
    ]


def test_linear_layers_on_logits_separate_what_the_base_models_separate_together() -> None:
    # one model tells cars from the rest, the other one trucks from the rest
    _, samples = planted()
    noise = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    logits = {
        name: noise + 10 * np.outer(samples.labels == name, np.eye(3)[CLASSES.index(name)]).astype(np.float32)
        for name in ("car", "truck")
    }
    inputs = inputs_of(samples, logits, train=replace(SETTINGS, lr=0.1, epochs=30))
    assert accuracy_on_test(fit_logit(inputs), samples) == 1
    assert accuracy_on_test(fit_stack(inputs), samples) == 1


def test_stacking_is_not_deceived_by_a_model_that_has_overfitted_its_train_images() -> None:
    _, samples = planted(900)
    rng = np.random.default_rng(0)
    honest = (rng.normal(size=(900, 3)) + 2 * np.eye(3)[samples.targets]).astype(np.float32)
    guesses = 4 * rng.normal(size=(900, 3)).astype(np.float32)
    overfitted, train = guesses.copy(), samples.train
    overfitted[train.rows] += 20 * np.eye(3, dtype=np.float32)[train.targets]
    inputs = inputs_of(
        samples,
        {"honest": honest, "overfitted": overfitted},
        out_of_fold={"honest": honest, "overfitted": guesses},
        train=replace(SETTINGS, lr=0.1, epochs=20),
    )
    stack, logit = (score(predictions_on(samples.test, fit(inputs).logits)) for fit in (fit_stack, fit_logit))
    alone = score(predictions_on(samples.test, honest))
    assert stack["top1_accuracy"] >= alone["top1_accuracy"] - 0.03
    assert stack["log_loss"] < logit["log_loss"] - 0.05


def test_the_feature_ensemble_learns() -> None:
    features, samples = planted(300)
    for of_backbone in features.values():
        of_backbone[:, :3] *= 3
    inputs = inputs_of(samples, {}, features=features, train=replace(SETTINGS, epochs=8), width=64)
    assert accuracy_on_test(fit_feature(inputs), samples) > 0.6


# --- the student


def wide_and_blind(num_images: int = 900) -> tuple[dict[str, np.ndarray], Samples, np.ndarray]:
    """Features in which classes overlap, features of noise, and (N, C) logits that are the truth about the first."""
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=num_images)
    seen = (rng.normal(size=(num_images, 3)) + 1.5 * np.eye(3)[targets]).astype(np.float32)
    splits = rng.permutation([SPLITS[row % 3] for row in range(num_images)]).tolist()
    blind = rng.normal(size=(num_images, 3)).astype(np.float32)
    # of equal classes around 1.5 times the unit vectors, these are the log odds up to what all classes share
    return {"seen": seen, "blind": blind}, samples_of(targets.tolist(), splits), 1.5 * seen


def test_a_student_learns_from_a_teacher_what_labels_alone_do_not_say() -> None:
    features, samples, truth = wide_and_blind()
    few = replace(
        samples,
        splits=np.where(
            np.arange(900) % 20 == 0, samples.splits, np.where(samples.splits == "train", "", samples.splits)
        ),
    )
    noise = np.random.default_rng(1).normal(size=(900, 12)).astype(np.float32)
    features["seen"] = np.concatenate([features["seen"], noise], axis=1)
    inputs = inputs_of(few, {"seen": truth}, features=features)
    alone = train_head(head_task(features["seen"], few, replace(SETTINGS, head="logistic"), "alone")).logits
    student = fit_student(inputs)
    assert len(few.train) < 20
    loss, loss_alone = (score(predictions_on(few.test, each))["log_loss"] for each in (student.logits, alone))
    assert loss < loss_alone - 0.02


def test_the_student_is_of_the_backbone_that_is_best_on_unseen_images_of_train_too() -> None:
    features, samples, truth = wide_and_blind()
    few = replace(samples, splits=np.where(np.arange(900) % 20 == 0, samples.splits, "train"))
    lucky = np.zeros_like(truth)
    lucky[few.val.rows] = 4 * np.eye(3, dtype=np.float32)[few.val.targets]  # right about each of a few images
    out_of_fold = {"blind": np.zeros_like(truth), "seen": truth}
    inputs = inputs_of(few, {"blind": lucky, "seen": truth}, features=features, out_of_fold=out_of_fold)
    losses = {name: score(predictions_on(few.val, each))["log_loss"] for name, each in inputs.logits.items()}
    assert losses["blind"] < losses["seen"]
    assert fit_student(inputs).backbone == "seen"


def test_the_student_is_of_the_best_backbone_or_of_the_one_that_is_named() -> None:
    features, samples, truth = wide_and_blind()
    inputs = inputs_of(samples, {"blind": np.zeros_like(truth), "seen": truth}, features=features)
    assert fit_student(inputs).backbone == "seen"
    named = replace(inputs, ensemble=replace(inputs.ensemble, student="blind"))
    found = fit_student(named)
    assert found.backbone == "blind"
    assert found.trained.head.weight.shape == (3, 3)
    assert found.logits == pytest.approx(found.trained.head.logits(features["blind"]), abs=1e-5)


def test_the_teacher_of_the_student_has_not_seen_the_images_that_it_teaches() -> None:
    features, samples, truth = wide_and_blind()
    rows = samples.train.rows
    boasting = truth.copy()
    boasting[rows] += 50 * np.eye(3, dtype=np.float32)[samples.train.targets]
    honest, deceived = (
        fit_student(inputs_of(samples, {"seen": logits}, features=features, out_of_fold={"seen": truth}))
        for logits in (truth, boasting)
    )
    assert state_bytes(honest) == state_bytes(deceived)


# --- as a whole


def test_neither_weights_nor_the_selection_depend_on_the_test_images() -> None:
    features, samples = planted()
    first = combined(features, samples)
    rows = samples.test.rows
    others = {name: of_backbone.copy() for name, of_backbone in features.items()}
    for of_backbone in others.values():
        of_backbone[rows] = 1e3 * of_backbone[rows][::-1]
    targets = samples.targets.copy()
    targets[rows] = np.roll(targets[rows], 1)
    turned = replace(samples, targets=targets)
    assert turned != samples
    second = combined(others, turned)
    assert first["weighted"].weights == second["weighted"].weights
    for kind in ("logit", "feature", "stack", "student"):
        assert state_bytes(first[kind]) == state_bytes(second[kind])
    assert select_model("best", first, samples.val, singles=[]) == select_model("best", second, turned.val, singles=[])
    summaries = [
        ensemble_summary(ensembles, split, selected="mean")
        for ensembles, split in ((first, samples.val), (second, turned.val))
    ]
    assert summaries[0] == summaries[1]


def test_saved_folders_hold_what_was_made_and_have_the_same_bytes_twice(tmp_path: Path) -> None:
    features, samples = planted(num_backbones=1)
    digests = []
    for name in ("one", "two"):
        ensembles = combined(features, samples, replace(SETTINGS, epochs=1))
        save_ensembles(ensembles, samples, tmp_path / name, selected="logit")
        files = {path.relative_to(tmp_path / name).as_posix(): path for path in (tmp_path / name).rglob("*.*")}
        digests.append({name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()})
    assert digests[0] == digests[1]
    trained = {f"logit/{file}" for file in ("choices.json", "curves.csv", "head.npz", "logits.npz")}
    trained |= {f"feature/{file}" for file in ("choices.json", "curves.csv", "fusion.npz", "logits.npz")}
    averages = {f"{kind}/{file}" for kind in AVERAGES for file in ("logits.npz", "mean.json")}
    trained |= {f"student/{file}" for file in ("choices.json", "head.npz", "logits.npz", "student.json")}
    assert read_json(tmp_path / "one/student/student.json") == {"backbone": "backbone0"}
    assert digests[0].keys() == trained | averages | {
        f"stack/{file}" for file in ("choices.json", "head.npz", "logits.npz")
    } | {"selected.json"}
    assert read_json(tmp_path / "one" / "selected.json") == {"selected": "logit", "kinds": list(KINDS)}
    mean = read_json(tmp_path / "one" / "mean" / "mean.json")
    assert mean == {"weights": {"backbone0": 1.0}, "temperature": pytest.approx(ensembles["mean"].temperature)}
    for kind, ensemble in ensembles.items():
        saved = load_logits(tmp_path / "one" / kind / "logits.npz")
        assert saved.ids == samples.ids
        assert saved.values.tobytes() == ensemble.logits.tobytes()


def test_what_the_stages_before_wrote_is_loaded(tmp_path: Path) -> None:
    features, samples = planted()
    ids, names = samples.ids, samples.class_names
    rng = np.random.default_rng(0)
    arrays = {stem: rng.normal(size=(100, 3)).astype(np.float32) for stem in ("logits", "out_of_fold")}
    for name, of_backbone in features.items():
        folder = tmp_path / "finetune" / name
        write_features(folder, ids=ids, dim=of_backbone.shape[1], batches=[of_backbone[:, None]], meta={})
        for stem, values in arrays.items():
            save_logits(Logits(ids, names, values), tmp_path / "train" / name / f"{stem}.npz")
    save_model_library({"weak": arrays["logits"]}, ids=ids, class_names=names, path=tmp_path / "library.npz")
    found = load_inputs(
        list(features),
        samples,
        SETTINGS,
        ensemble_settings(),
        features_dir=tmp_path / "finetune",
        train_dir=tmp_path / "train",
        library_path=tmp_path / "library.npz",
    )
    for name, of_backbone in features.items():
        assert found.features[name].reshape(100, -1).tobytes() == of_backbone.tobytes()
        assert found.logits[name].tobytes() == arrays["logits"].tobytes()
        assert found.out_of_fold[name].tobytes() == arrays["out_of_fold"].tobytes()
    assert list(found.library) == ["weak"]


@pytest.mark.parametrize("kind", ["mean", "weighted", "greedy"])
def test_the_weights_and_the_temperature_of_a_mean_give_its_logits(kind: str) -> None:
    features, samples = planted(num_backbones=3)
    models = base_logits(features, samples)
    ensemble = KINDS[kind](inputs_of(samples, models))
    weights = np.array([ensemble.weights.get(name, 0) for name in models])
    mean = average_probs(np.stack(list(models.values())), weights)
    np.testing.assert_allclose(ensemble.logits, mean / ensemble.temperature, rtol=1e-5, atol=1e-6)
    assert ensemble.temperature != 1


def test_the_logit_ensemble_is_trained_without_the_dropout_of_heads() -> None:
    logits, samples = planted()
    task = logit_task(inputs_of(samples, logits, train=replace(SETTINGS, dropout=0.5, head="mlp")))
    assert (task.settings.head, task.settings.dropout) == ("linear", 0)
