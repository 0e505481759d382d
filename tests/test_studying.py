"""The study's runs are independent of one another and of the test rows."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from tandem import training
from tandem.samples import SPLITS, Sample, Samples
from tandem.studying import Run, study
from tandem.training import Settings

CLASSES = ("car", "truck")
MODELS = ["one", "other", "mean", "logit", "feature"]
SETTINGS = {"epochs": 2, "weight_decay": 0.0, "dropout": 0.2, "scheduler": "plateau", "balance": "sampler", "seed": 0}


@pytest.fixture(scope="module")
def samples() -> Samples:
    rows = [(f"{row:02}", CLASSES[row % 2], SPLITS[row // 2 % 3]) for row in range(48)]
    return Samples(CLASSES, tuple(Sample(id_, label, "drawn", id_, split) for id_, label, split in rows))


@pytest.fixture(scope="module")
def features() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: (rng.normal(size=(48, dim)) + 2 * (np.arange(48) % 2)[:, None]).astype(np.float32)
        for name, dim in (("one", 3), ("other", 5))
    }


def runs(features: dict[str, np.ndarray], samples: Samples, lrs: list[float], batch_sizes: list[int]) -> list[Run]:
    return study(features, samples=samples, lrs=lrs, batch_sizes=batch_sizes, ensemble_dropout=0.5, **SETTINGS)


@pytest.fixture(scope="module")
def grid(features: dict[str, np.ndarray], samples: Samples) -> list[Run]:
    return runs(features, samples, [0.01, 0.001], [8, 16])


def test_there_is_one_row_for_each_model_and_pair(grid: list[Run]) -> None:
    expected = [(lr, size, model) for lr in (0.01, 0.001) for size in (8, 16) for model in MODELS]
    assert [(run.lr, run.batch_size, run.model) for run in grid] == expected


def test_the_pairs_differ(grid: list[Run]) -> None:
    for model in MODELS:
        assert len({run.log_loss for run in grid if run.model == model}) == 4


def test_the_order_of_the_grid_changes_no_number(
    grid: list[Run], features: dict[str, np.ndarray], samples: Samples
) -> None:
    turned = runs(features, samples, [0.001, 0.01], [16, 8])
    assert turned != grid
    assert set(turned) == set(grid)


def test_a_run_alone_is_the_run_among_others(
    grid: list[Run], features: dict[str, np.ndarray], samples: Samples
) -> None:
    assert runs(features, samples, [0.001], [8]) == [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]


def test_the_dropout_of_the_ensembles_is_that_of_the_feature_ensemble_alone(
    grid: list[Run], features: dict[str, np.ndarray], samples: Samples
) -> None:
    others = study(features, samples=samples, lrs=[0.001], batch_sizes=[8], ensemble_dropout=0.0, **SETTINGS)
    before = [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]
    changed = [run.model for run, other in zip(before, others, strict=True) if run != other]
    assert changed == ["feature"]


def test_the_test_rows_do_not_matter(grid: list[Run], features: dict[str, np.ndarray], samples: Samples) -> None:
    rows = samples.rows("test")
    others = {name: x.copy() for name, x in features.items()}
    for x in others.values():
        x[rows] = -50
    labels = dict(zip(rows.tolist(), [samples.samples[row].label for row in rows[::-1]], strict=True))
    turned = Samples(
        CLASSES,
        tuple(replace(sample, label=labels.get(row, sample.label)) for row, sample in enumerate(samples.samples)),
    )
    assert turned != samples
    assert runs(others, turned, [0.001], [8]) == [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]


def test_the_scores_are_those_of_the_same_head_on_validation_and_train(
    grid: list[Run], features: dict[str, np.ndarray], samples: Samples
) -> None:
    settings = Settings(lr=0.001, batch_size=8, **SETTINGS)
    logits = training.train_linear(features["one"], samples, settings=settings, name="one").logits
    run = next(run for run in grid if (run.model, run.lr, run.batch_size) == ("one", 0.001, 8))
    val, targets = logits[samples.rows("val")], samples.targets("val")
    train = logits[samples.rows("train")]
    assert run.top1_accuracy == pytest.approx(sklearn.metrics.accuracy_score(targets, val.argmax(1)))
    assert run.log_loss == pytest.approx(sklearn.metrics.log_loss(targets, special.softmax(val, axis=1)), abs=1e-5)
    assert run.train_top1_accuracy == pytest.approx((train.argmax(1) == samples.targets("train")).mean())
