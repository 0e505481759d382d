"""The study's runs are independent of one another and of the test images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from factories import ensemble_settings, samples_of, study_settings, train_settings
from tandem.errors import LeakageError
from tandem.files import read_csv
from tandem.studies.grid import StudyResult, StudyRun, save_library, save_runs, study, study_summary
from tandem.tables.logits import load_model_library
from tandem.tables.samples import SPLITS, Samples
from tandem.training.heads import train_head
from tandem.training.linear import load_linear
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task

IN_LIBRARY = ("one", "other", "logit", "feature")  # means of others are not selected from
MODELS = ["one", "other", "mean", "weighted", "logit", "feature"]
SETTINGS = train_settings(
    lr=1.0, batch_size=1, epochs=2, patience=5, dropout=0.2, scheduler="plateau", balance="sampler"
)
Features = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def samples() -> Samples:
    splits = [SPLITS[row // 2 % 3] for row in range(48)]
    return samples_of([row % 2 for row in range(48)], splits, class_names=("car", "truck"))


@pytest.fixture(scope="module")
def features() -> Features:
    rng = np.random.default_rng(0)
    return {
        name: (rng.normal(size=(48, dim)) + 2 * (np.arange(48) % 2)[:, None]).astype(np.float32)
        for name, dim in (("one", 3), ("other", 5))
    }


def studied(
    features: Features,
    samples: Samples,
    *,
    train: TrainSettings = SETTINGS,
    dropout: float = 0.5,
    workers: int = 1,
    **grid: Any,
) -> StudyResult:
    """By default of the one pair 0.001 and 8."""
    return study(
        features,
        samples,
        grid=study_settings(**{"lr": (0.001,), "batch_size": (8,), **grid}),
        train=train,
        ensemble=ensemble_settings(dropout=dropout, width=32),
        workers=workers,
    )


def trained(features: np.ndarray, samples: Samples, **changes: Any) -> np.ndarray:
    """Logits of a head on its own, at that pair."""
    return train_head(head_task(features, samples, replace(SETTINGS, lr=0.001, batch_size=8, **changes), "")).logits


@pytest.fixture(scope="module")
def runs(features: Features, samples: Samples) -> list[StudyRun]:
    """Of four pairs."""
    return list(studied(features, samples, lr=(0.01, 0.001), batch_size=(8, 16)).runs)


@pytest.fixture(scope="module")
def of_one_pair(runs: list[StudyRun]) -> list[StudyRun]:
    return [run for run in runs if (run.lr, run.batch_size) == (0.001, 8)]


def test_there_is_one_run_for_each_model_and_pair(runs: list[StudyRun]) -> None:
    expected = [(lr, size, model) for lr in (0.01, 0.001) for size in (8, 16) for model in MODELS]
    assert [(run.lr, run.batch_size, run.model) for run in runs] == expected


def test_the_pairs_differ(runs: list[StudyRun]) -> None:
    for model in MODELS:
        assert len({run.log_loss for run in runs if run.model == model}) == 4


def test_the_order_of_the_grid_changes_no_number(runs: list[StudyRun], features: Features, samples: Samples) -> None:
    turned = studied(features, samples, lr=(0.001, 0.01), batch_size=(16, 8)).runs
    assert list(turned) != runs
    assert set(turned) == set(runs)


def test_a_pair_alone_is_the_pair_among_others(
    of_one_pair: list[StudyRun], features: Features, samples: Samples
) -> None:
    assert list(studied(features, samples).runs) == of_one_pair


def test_how_many_processes_train_changes_no_byte(features: Features, samples: Samples) -> None:
    one, two = (studied(features, samples, lr=(0.01, 0.001), num_seeds=2, workers=workers) for workers in (1, 2))
    assert two.runs == one.runs
    assert list(two.library) == list(one.library)
    assert all(two.library[name].logits.tobytes() == model.logits.tobytes() for name, model in one.library.items())


def test_features_that_are_mapped_from_files_reach_other_processes(
    of_one_pair: list[StudyRun], features: Features, samples: Samples, tmp_path: Any
) -> None:
    mapped = {}
    for name, of_backbone in features.items():
        np.save(tmp_path / f"{name}.npy", of_backbone)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    assert list(studied(mapped, samples, workers=2).runs) == of_one_pair


def test_what_stops_a_training_in_another_process_is_raised_in_this_one(
    features: Features, samples: Samples, capfd: pytest.CaptureFixture[str]
) -> None:
    without = replace(samples, targets=np.where(samples.splits == "val", 0, samples.targets))
    with pytest.raises(LeakageError, match="truck"):
        studied(features, without, lr=(0.01, 0.001), workers=2)
    assert capfd.readouterr().err == ""


def test_the_dropout_of_the_ensembles_is_that_of_the_feature_ensemble_alone(
    of_one_pair: list[StudyRun], features: Features, samples: Samples
) -> None:
    others = studied(features, samples, dropout=0.0).runs
    changed = [run.model for run, other in zip(of_one_pair, others, strict=True) if run != other]
    assert changed == ["feature"]


def test_the_test_images_do_not_matter(of_one_pair: list[StudyRun], features: Features, samples: Samples) -> None:
    rows = samples.test.rows
    others, targets = {name: of_backbone.copy() for name, of_backbone in features.items()}, samples.targets.copy()
    for of_backbone in others.values():
        of_backbone[rows] = -50
    targets[rows] = targets[rows[::-1]]
    turned = replace(samples, targets=targets)
    assert turned != samples
    assert list(studied(others, turned).runs) == of_one_pair


def test_the_scores_are_those_of_the_same_head_on_validation_and_train(
    of_one_pair: list[StudyRun], features: Features, samples: Samples
) -> None:
    logits = trained(features["one"], samples)
    run = next(run for run in of_one_pair if run.model == "one")
    val, train = samples.val, samples.train
    probs = special.softmax(logits[val.rows], axis=1)
    assert run.top1_accuracy == pytest.approx(sklearn.metrics.accuracy_score(val.targets, probs.argmax(1)))
    assert run.log_loss == pytest.approx(sklearn.metrics.log_loss(val.targets, probs), abs=1e-5)
    assert run.train_top1_accuracy == pytest.approx((logits[train.rows].argmax(1) == train.targets).mean())


def test_each_pair_is_trained_by_as_many_seeds_as_are_asked_for_and_no_seed_depends_on_another(
    of_one_pair: list[StudyRun], features: Features, samples: Samples
) -> None:
    found = studied(features, samples, num_seeds=3).runs
    assert [(run.seed, run.model) for run in found] == [(seed, model) for seed in range(3) for model in MODELS]
    assert list(found[: len(MODELS)]) == of_one_pair
    assert studied(features, samples, train=replace(SETTINGS, seed=2)).runs == found[-len(MODELS) :]


def test_the_library_holds_what_was_trained_and_each_head_gives_its_logits(
    features: Features, samples: Samples, tmp_path: Path
) -> None:
    library = studied(features, samples, num_seeds=2).library
    assert list(library) == [f"{model} lr=0.001 batch_size=8 seed={seed}" for seed in (0, 1) for model in IN_LIBRARY]
    logits = trained(features["other"], samples, seed=1)
    assert library["other lr=0.001 batch_size=8 seed=1"].logits.tobytes() == logits.tobytes()
    save_library(library, samples, tmp_path / "study")
    saved = load_model_library(tmp_path / "study/library.npz", ids=samples.ids, class_names=samples.class_names)
    assert {name: saved[name].tobytes() for name in saved} == {
        name: model.logits.tobytes() for name, model in library.items()
    }
    head = load_linear(tmp_path / "study/heads/5/head.npz")  # of the sixth model
    np.testing.assert_allclose(head.logits(features["other"]), logits, rtol=0, atol=1e-5)


def test_a_linear_head_stands_for_a_logistic_one(
    of_one_pair: list[StudyRun], features: Features, samples: Samples
) -> None:
    assert list(studied(features, samples, train=replace(SETTINGS, head="logistic")).runs) == of_one_pair


def planted(lr: float, batch_size: int, seed: int, log_loss: float, model: str = "one") -> StudyRun:
    return StudyRun(model, lr, batch_size, seed, 0.9, log_loss, 1.0)


def test_runs_are_saved_a_line_each(tmp_path: Any) -> None:
    save_runs([planted(0.1, 4, 0, 0.25), planted(0.01, 8, 1, 0.5)], tmp_path / "study.csv")
    lines = read_csv(tmp_path / "study.csv")
    assert [(line["lr"], line["batch_size"], line["log_loss"]) for line in lines] == [
        ("0.1", "4", "0.25"),
        ("0.01", "8", "0.5"),
    ]


def test_the_finding_names_the_lowest_and_the_highest_pair_and_compares_them_with_the_seeds() -> None:
    clear = [
        planted(lr, 4, seed, loss + 0.01 * seed)
        for lr, loss in ((0.1, 0.5), (0.01, 0.3), (0.001, 0.4))
        for seed in (0, 1)
    ]
    found = study_summary([*clear, *(replace(run, model="other", log_loss=run.log_loss + 0.1) for run in clear)])
    assert found["lowest"] == {"lr": 0.01, "batch_size": 4, "log_loss": pytest.approx(0.355)}
    assert found["highest"] == {"lr": 0.1, "batch_size": 4, "log_loss": pytest.approx(0.555)}
    assert found["difference"] == pytest.approx(0.2)
    assert found["seed_spread"] == pytest.approx(np.std([0.35, 0.36], ddof=1))
    assert found["finding"] == (
        "Validation log loss, the mean over models, is lowest at lr 0.01 and batch size 4 (0.355) and highest "
        "at lr 0.1 and batch size 4 (0.555). The difference of 0.200 is larger than the spread over seeds (0.007)."
    )


def test_a_difference_within_the_spread_is_called_so_and_a_single_seed_has_no_spread() -> None:
    noisy = [planted(0.1, 4, 0, 0.2), planted(0.1, 4, 1, 0.8), planted(0.1, 8, 0, 0.45), planted(0.1, 8, 1, 0.5)]
    finding = str(study_summary(noisy)["finding"])
    assert "difference of 0.025 is not larger than the spread over seeds (0.424)" in finding
    alone = study_summary([run for run in noisy if run.seed == 0])
    assert alone["seed_spread"] is None
    assert str(alone["finding"]).endswith("The difference is 0.250; with a single seed its spread is not known.")
