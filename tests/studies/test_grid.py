"""The study's runs are independent of one another and of the test rows."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import sklearn.metrics
from scipy import special

from tandem.errors import LeakageError
from tandem.studies.grid import StudyGrid, StudyResult, StudyRun, study, study_summary
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.training import heads
from tandem.training.heads import TrainSettings

CLASSES = ("car", "truck")
KEPT = ("one", "other", "logit", "feature")  # means of others are not selected from
MODELS = ["one", "other", "mean", "weighted", "logit", "feature"]
SETTINGS = TrainSettings(
    head="linear",
    lr=1.0,
    batch_size=1,
    epochs=2,
    patience=5,
    weight_decay=0.0,
    dropout=0.2,
    scheduler="plateau",
    balance="sampler",
    folds=3,
    seed=0,
)


@pytest.fixture(scope="module")
def samples() -> Samples:
    rows = [(f"{row:02}", CLASSES[row % 2], SPLITS[row // 2 % 3]) for row in range(48)]
    return Samples.of(CLASSES, tuple(Sample(id_, label, "drawn", id_, split) for id_, label, split in rows))


@pytest.fixture(scope="module")
def features() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: (rng.normal(size=(48, dim)) + 2 * (np.arange(48) % 2)[:, None]).astype(np.float32)
        for name, dim in (("one", 3), ("other", 5))
    }


def studied(
    features: dict[str, np.ndarray],
    samples: Samples,
    lrs: list[float],
    batch_sizes: list[int],
    *,
    seeds: int = 1,
    dropout: float = 0.5,
    settings: TrainSettings = SETTINGS,
    workers: int = 1,
) -> StudyResult:
    grid = StudyGrid(tuple(lrs), tuple(batch_sizes), seeds)
    return study(
        features,
        samples=samples,
        grid=grid,
        settings=settings,
        ensemble_dropout=dropout,
        width=32,
        workers=workers,
    )


def runs(features: dict[str, np.ndarray], samples: Samples, lrs: list[float], batch_sizes: list[int]) -> list[StudyRun]:
    return list(studied(features, samples, lrs, batch_sizes).runs)


@pytest.fixture(scope="module")
def grid(features: dict[str, np.ndarray], samples: Samples) -> list[StudyRun]:
    return runs(features, samples, [0.01, 0.001], [8, 16])


def test_there_is_one_row_for_each_model_and_pair(grid: list[StudyRun]) -> None:
    expected = [(lr, size, model) for lr in (0.01, 0.001) for size in (8, 16) for model in MODELS]
    assert [(run.lr, run.batch_size, run.model) for run in grid] == expected


def test_the_pairs_differ(grid: list[StudyRun]) -> None:
    for model in MODELS:
        assert len({run.log_loss for run in grid if run.model == model}) == 4


def test_the_order_of_the_grid_changes_no_number(
    grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples
) -> None:
    turned = runs(features, samples, [0.001, 0.01], [16, 8])
    assert turned != grid
    assert set(turned) == set(grid)


def test_a_run_alone_is_the_run_among_others(
    grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples
) -> None:
    assert runs(features, samples, [0.001], [8]) == [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]


def test_how_many_processes_train_changes_no_byte(features: dict[str, np.ndarray], samples: Samples) -> None:
    one, two = (studied(features, samples, [0.01, 0.001], [8], seeds=2, workers=workers) for workers in (1, 2))
    assert two.runs == one.runs
    assert list(two.library) == list(one.library)
    assert all(two.library[name].tobytes() == logits.tobytes() for name, logits in one.library.items())


def test_what_stops_a_training_in_another_process_is_told_by_this_one(
    features: dict[str, np.ndarray], samples: Samples, capfd: pytest.CaptureFixture[str]
) -> None:
    without = Samples.of(
        CLASSES, tuple(replace(one, label="car") if one.split == "val" else one for one in samples.samples)
    )
    with pytest.raises(LeakageError, match="truck"):
        studied(features, without, [0.01, 0.001], [8], workers=2)
    assert capfd.readouterr().err == ""


def test_the_dropout_of_the_ensembles_is_that_of_the_feature_ensemble_alone(
    grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples
) -> None:
    others = studied(features, samples, [0.001], [8], dropout=0.0).runs
    before = [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]
    changed = [run.model for run, other in zip(before, others, strict=True) if run != other]
    assert changed == ["feature"]


def test_the_test_rows_do_not_matter(grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples) -> None:
    rows = samples.test.rows
    others = {name: x.copy() for name, x in features.items()}
    for x in others.values():
        x[rows] = -50
    labels = dict(zip(rows.tolist(), [samples.samples[row].label for row in rows[::-1]], strict=True))
    turned = Samples.of(
        CLASSES,
        tuple(replace(sample, label=labels.get(row, sample.label)) for row, sample in enumerate(samples.samples)),
    )
    assert turned != samples
    assert runs(others, turned, [0.001], [8]) == [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]


def test_the_scores_are_those_of_the_same_head_on_validation_and_train(
    grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples
) -> None:
    settings = replace(SETTINGS, lr=0.001, batch_size=8)
    logits = heads.train_head(features["one"], samples, settings=settings, name="one").logits
    run = next(run for run in grid if (run.model, run.lr, run.batch_size) == ("one", 0.001, 8))
    val, targets = logits[samples.val.rows], samples.val.targets
    train = logits[samples.train.rows]
    assert run.top1_accuracy == pytest.approx(sklearn.metrics.accuracy_score(targets, val.argmax(1)))
    assert run.log_loss == pytest.approx(sklearn.metrics.log_loss(targets, special.softmax(val, axis=1)), abs=1e-5)
    assert run.train_top1_accuracy == pytest.approx((train.argmax(1) == samples.train.targets).mean())


def test_each_pair_is_trained_by_as_many_seeds_as_are_asked_for_and_no_seed_depends_on_another(
    grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples
) -> None:
    found = studied(features, samples, [0.001], [8], seeds=3)
    assert [(run.seed, run.model) for run in found.runs] == [(seed, model) for seed in range(3) for model in MODELS]
    assert list(found.runs[: len(MODELS)]) == [run for run in grid if (run.lr, run.batch_size) == (0.001, 8)]
    alone = studied(features, samples, [0.001], [8], settings=replace(SETTINGS, seed=2))
    assert alone.runs == found.runs[-len(MODELS) :]


def test_the_library_holds_the_logits_of_what_was_trained(features: dict[str, np.ndarray], samples: Samples) -> None:
    found = studied(features, samples, [0.001], [8], seeds=2)
    trained = [f"{model} lr=0.001 batch_size=8 seed={seed}" for seed in (0, 1) for model in MODELS if model in KEPT]
    assert list(found.library) == trained
    settings = replace(SETTINGS, lr=0.001, batch_size=8, seed=1)
    logits = heads.train_head(features["other"], samples, settings=settings, name="other").logits
    assert found.library["other lr=0.001 batch_size=8 seed=1"].tobytes() == logits.tobytes()


def test_a_linear_head_stands_for_a_logistic_one(
    grid: list[StudyRun], features: dict[str, np.ndarray], samples: Samples
) -> None:
    found = studied(features, samples, [0.01, 0.001], [8, 16], settings=replace(SETTINGS, head="logistic"))
    assert list(found.runs) == grid


def run(lr: float, batch_size: int, seed: int, log_loss: float, model: str = "one") -> StudyRun:
    return StudyRun(model, lr, batch_size, seed, 0.9, log_loss, 1.0)


def test_the_finding_names_the_lowest_and_the_highest_pair_and_weighs_them_by_the_seeds() -> None:
    clear = [
        run(lr, 4, seed, loss + 0.01 * seed) for lr, loss in ((0.1, 0.5), (0.01, 0.3), (0.001, 0.4)) for seed in (0, 1)
    ]
    found = study_summary([*clear, *(replace(own, model="other", log_loss=own.log_loss + 0.1) for own in clear)])
    assert found["lowest"] == {"lr": 0.01, "batch_size": 4, "log_loss": pytest.approx(0.355)}
    assert found["highest"] == {"lr": 0.1, "batch_size": 4, "log_loss": pytest.approx(0.555)}
    assert found["difference"] == pytest.approx(0.2)
    assert found["seed_spread"] == pytest.approx(np.std([0.35, 0.36], ddof=1))
    assert found["finding"] == (
        "Validation log loss, the mean over models, is lowest at lr 0.01 and batch size 4 (0.355) and highest "
        "at lr 0.1 and batch size 4 (0.555). The difference of 0.200 is larger than the spread over seeds (0.007)."
    )


def test_a_difference_within_the_spread_is_called_so_and_a_single_seed_tells_no_spread() -> None:
    noisy = [run(0.1, 4, 0, 0.2), run(0.1, 4, 1, 0.8), run(0.1, 8, 0, 0.45), run(0.1, 8, 1, 0.5)]
    assert "difference of 0.025 is not larger than the spread over seeds (0.424)" in str(
        study_summary(noisy)["finding"]
    )
    alone = study_summary([own for own in noisy if own.seed == 0])
    assert alone["seed_spread"] is None
    assert str(alone["finding"]).endswith("The difference is 0.250; with a single seed its spread is not known.")


LONG_STUDY = """
import sys
import numpy as np
from tandem.pipeline import run as running
from tandem.training.early_stopping import Settings
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.studies.grid import Grid, study

def main():
    names = ("car", "truck")
    rows = [Sample(f"{n}", names[n % 2], "drawn", f"{n}", SPLITS[n // 2 % 3]) for n in range(600)]
    x = np.random.default_rng(0).normal(size=(600, 400)).astype(np.float32)
    settings = Settings("linear", 1.0, 1, 10_000, 10_000, 0.0, 0.2, "none", "sampler", 3, 0)
    study({"one": x}, samples=Samples.of(names, tuple(rows)), grid=Grid((0.1, 0.01), (4,), 2), settings=settings,
          ensemble_dropout=0.5, width=256, workers=2)

if __name__ == "__main__":
    running.run(main)
"""


@contextmanager
def long_study(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A study of hours in a process of its own, and the processes that train for it."""
    script = tmp_path / "long.py"
    script.write_text(LONG_STUDY)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as own:
        try:
            yield own, eventually(lambda: [each for each in trainers(own) if each.cpu_times().user > 5], 2)  # begun
        finally:
            for each in trainers(own):
                each.kill()
            own.kill()


def trainers(own: subprocess.Popen[str]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(own.pid).children()
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]
    return []


def eventually(found: Callable[[], list[psutil.Process]], count: int) -> list[psutil.Process]:
    for _ in range(600):
        with suppress(psutil.NoSuchProcess):
            if len(now := found()) == count:
                return now
        time.sleep(0.1)
    raise AssertionError(f"never {count} processes")


@pytest.mark.slow
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_a_study_that_is_ended(tmp_path: Path, end: signal.Signals, code: int) -> None:
    with long_study(tmp_path) as (own, processes):
        own.send_signal(end)
        assert own.wait(30) == code
        eventually(lambda: [each for each in processes if each.is_running() and each.status() != "zombie"], 0)
        assert own.stdout is not None
        said = own.stdout.read()
    assert said == "" or end == signal.SIGKILL  # of which Python's own tracker tells what it takes away


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_study_with_a_message(tmp_path: Path) -> None:
    with long_study(tmp_path) as (own, processes):
        processes[0].kill()
        said, _ = own.communicate(timeout=30)
        assert own.returncode == 1
        assert said == (
            "error: a process of the study was ended before its work was done, perhaps for want of memory; "
            "set runtime.workers to 1, which trains in one process alone\n"
        )
