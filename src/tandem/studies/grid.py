"""The study, a grid search: every model for every pair of learning rate and batch size, on the same splits.

Each run builds its heads anew from its seed, so no run depends on another. Scores are on validation: a choice made by
them must leave test untouched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from tqdm import tqdm

from tandem.evaluation.metrics import Predictions, log_loss, top1_accuracy
from tandem.evaluation.scores import predictions_on
from tandem.files import atomic_dir, write_csv
from tandem.studies.settings import StudySettings
from tandem.studies.workers import run_jobs, single_core
from tandem.tables.logits import save_model_library
from tandem.tables.samples import Samples
from tandem.training.ensembles import Ensemble, EnsembleInputs
from tandem.training.heads import Trained
from tandem.training.settings import EnsembleSettings, TrainSettings
from tandem.training.sweep import combine_heads, train_features, train_heads

_Pair = tuple[float, int]
_Model = Ensemble | Trained


@dataclass(frozen=True)
class StudyRun:
    """One model in one cell. Accuracy and log loss (nats) on validation, train_top1_accuracy on the train images."""

    model: str
    lr: float
    batch_size: int
    seed: int
    top1_accuracy: float
    log_loss: float
    train_top1_accuracy: float


@dataclass(frozen=True, eq=False)
class StudyResult:
    """runs: in the order lr, batch size, seed, model. library: model with its pair and seed -> what was trained.

    Means are not in the library: they are of models that are in it themselves.
    """

    runs: tuple[StudyRun, ...]
    library: Mapping[str, Trained]


def study(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    grid: StudySettings,
    train: TrainSettings,
    ensemble: EnsembleSettings,
    workers: int,
) -> StudyResult:
    """All runs of the grid. features: backbone -> (N, D) or (N, k, D), in the order of samples.

    A logistic head knows neither lr nor batch size; a linear one stands for it here. workers: processes that train, one
    core each; how many there are changes no result.
    """
    cells = _cells(grid, train)
    in_memory = {name: np.asarray(of_backbone) for name, of_backbone in features.items()}
    inputs = EnsembleInputs(samples, in_memory, {}, {}, {}, train, ensemble)
    models = _train_cells(inputs, cells, workers=workers)
    splits = (samples.val, samples.train)
    return StudyResult(
        runs=tuple(
            _run(name, cell, *(predictions_on(split, model.logits) for split in splits))
            for cell, of_cell in zip(cells, models, strict=True)
            for name, model in of_cell.items()
        ),
        library={
            f"{name} lr={cell.lr} batch_size={cell.batch_size} seed={cell.seed}": model
            for cell, of_cell in zip(cells, models, strict=True)
            for name, model in of_cell.items()
            if isinstance(model, Trained)
        },
    )


def _cells(grid: StudySettings, train: TrainSettings) -> list[TrainSettings]:
    """The settings of each training, in the order lr, batch size, seed."""
    head = "linear" if train.head == "logistic" else train.head
    return [
        replace(train, lr=lr, batch_size=batch_size, seed=train.seed + repeat, head=head)
        for lr, batch_size, repeat in product(grid.lr, grid.batch_size, range(grid.num_seeds))
    ]


def _train_cells(inputs: EnsembleInputs, cells: Sequence[TrainSettings], *, workers: int) -> list[dict[str, _Model]]:
    """For each cell, its models: one a backbone, their means, and the ensembles that are trained."""
    pairs = sorted({(cell.batch_size, cell.lr) for cell in cells})  # the longest trainings first
    seeds = [[number for number, cell in enumerate(cells) if (cell.batch_size, cell.lr) == pair] for pair in pairs]
    jobs: list[Callable[[EnsembleInputs], list[Trained]]] = [
        *(partial(train_features, cells=[cells[number] for number in numbers]) for numbers in seeds),
        *(partial(train_heads, backbone=name, cells=cells) for name in inputs.features),
    ]
    with run_jobs(jobs, inputs, workers=min(workers, len(jobs))) as results:
        trained = list(tqdm(results, "study", total=len(jobs), disable=None))
    feature = {
        number: model
        for numbers, of_pair in zip(seeds, trained, strict=False)
        for number, model in zip(numbers, of_pair, strict=True)
    }
    of_backbones = trained[len(pairs) :]
    base = [dict(zip(inputs.features, of_cell, strict=True)) for of_cell in zip(*of_backbones, strict=True)]
    with single_core():
        ensembles = combine_heads(inputs, cells=cells, base=base)
    return [{**base[number], **ensembles[number], "feature": feature[number]} for number in range(len(cells))]


def _run(model: str, cell: TrainSettings, val: Predictions, train: Predictions) -> StudyRun:
    return StudyRun(
        model=model,
        lr=cell.lr,
        batch_size=cell.batch_size,
        seed=cell.seed,
        top1_accuracy=top1_accuracy(val),
        log_loss=log_loss(val),
        train_top1_accuracy=top1_accuracy(train),
    )


def save_library(library: Mapping[str, Trained], samples: Samples, folder: Path) -> None:
    """Write `folder`, whole or not at all: library.npz with the logits, and the head of each model in its order."""
    logits = {name: model.logits for name, model in library.items()}
    with atomic_dir(folder) as temporary:
        save_model_library(logits, ids=samples.ids, class_names=samples.class_names, path=temporary / "library.npz")
        for number, model in enumerate(library.values()):
            model.head.save(temporary / "heads" / str(number))


def save_runs(runs: Sequence[StudyRun], path: Path) -> None:
    """Write a line a run as CSV."""
    write_csv(path, [asdict(run) for run in runs])


def study_summary(runs: Sequence[StudyRun]) -> dict[str, object]:
    """Which pair has the lowest and which the highest log loss, and whether the difference exceeds the seeds' spread.

    A pair's log loss is the mean over models and seeds; the spread is the standard deviation over seeds of the mean
    over models, the larger one of the two pairs, and None with a single seed.
    """
    losses = {pair: _losses_by_seed(runs, pair) for pair in dict.fromkeys((run.lr, run.batch_size) for run in runs)}
    lowest, highest = (pick(losses, key=lambda pair: fmean(losses[pair])) for pick in (min, max))
    difference = fmean(losses[highest]) - fmean(losses[lowest])
    spreads = [stdev(losses[pair]) for pair in (lowest, highest) if len(losses[pair]) > 1]
    spread = max(spreads) if spreads else None
    return {
        "lowest": _pair_summary(lowest, losses),
        "highest": _pair_summary(highest, losses),
        "difference": difference,
        "seed_spread": spread,
        "finding": (
            f"Validation log loss, the mean over models, is lowest at lr {lowest[0]:g} and batch size {lowest[1]} "
            f"({fmean(losses[lowest]):.3f}) and highest at lr {highest[0]:g} and batch size {highest[1]} "
            f"({fmean(losses[highest]):.3f}). {_verdict(difference, spread)}"
        ),
    }


def _losses_by_seed(runs: Sequence[StudyRun], pair: _Pair) -> list[float]:
    """The mean log loss over models for each seed."""
    of_pair = [run for run in runs if (run.lr, run.batch_size) == pair]
    seeds = sorted({run.seed for run in of_pair})
    return [fmean(run.log_loss for run in of_pair if run.seed == seed) for seed in seeds]


def _pair_summary(pair: _Pair, losses: Mapping[_Pair, Sequence[float]]) -> dict[str, float]:
    return {"lr": pair[0], "batch_size": pair[1], "log_loss": fmean(losses[pair])}


def _verdict(difference: float, spread: float | None) -> str:
    if spread is None:
        return f"The difference is {difference:.3f}; with a single seed its spread is not known."
    verdict = "larger" if difference > spread else "not larger"
    return f"The difference of {difference:.3f} is {verdict} than the spread over seeds ({spread:.3f})."
