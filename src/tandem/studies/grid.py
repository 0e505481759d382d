"""The study: every model for every pair of learning rate and batch size, on the same rows.

Each run builds its heads anew from its seed, so no run depends on another. Linear heads are trained all at once,
networks side by side in processes. Scores are on validation: a choice made by them must leave test untouched.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import fmean, stdev
from threading import RLock, Thread

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tandem.errors import PipelineError
from tandem.evaluation.scores import score
from tandem.files import write_csv
from tandem.studies.settings import StudySettings
from tandem.tables.samples import Samples
from tandem.training import ensembles as ensembling
from tandem.training import heads as training
from tandem.training.heads import HeadTask
from tandem.training.settings import EnsembleSettings, TrainSettings

_Pair = tuple[float, int]
_Job = Callable[[Mapping[str, np.ndarray], Samples], list[np.ndarray]]


@dataclass(frozen=True)
class StudyRun:
    """One model at one pair. Accuracy and log loss (nats) on validation, train_top1_accuracy on the train rows."""

    model: str
    lr: float
    batch_size: int
    seed: int
    top1_accuracy: float
    log_loss: float
    train_top1_accuracy: float


@dataclass(frozen=True)
class StudyResult:
    """runs: in the order lr, batch size, seed, model. library: model with its pair and seed -> logits (N, C)."""

    runs: tuple[StudyRun, ...]
    library: Mapping[str, np.ndarray]


def study(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    grid: StudySettings,
    train: TrainSettings,
    ensemble: EnsembleSettings,
    workers: int,
) -> StudyResult:
    """All runs of the grid. features: backbone -> (N, D), rows in the order of samples.

    A logistic head knows neither lr nor batch size; a linear one stands for it here. workers: processes that train, one
    core each; how many there are changes no result.
    """
    head = "linear" if train.head == "logistic" else train.head
    cells = [
        replace(train, lr=lr, batch_size=batch_size, seed=train.seed + repeat, head=head)
        for lr, batch_size, repeat in product(grid.lr, grid.batch_size, range(grid.num_seeds))
    ]
    ensembled = [replace(cell, dropout=ensemble.dropout) for cell in cells]
    trained = _trained(features, samples, cells, ensembled, width=ensemble.width, workers=workers)
    return StudyResult(
        runs=tuple(
            _run(name, logits, samples, cell)
            for cell, own in zip(cells, trained, strict=True)
            for name, logits in _models(list(features), own, samples).items()
        ),
        library={
            f"{name} lr={cell.lr} batch_size={cell.batch_size} seed={cell.seed}": logits
            for cell, own in zip(cells, trained, strict=True)
            for name, logits in own.items()
        },
    )


def save_runs(runs: Sequence[StudyRun], path: Path) -> None:
    """Write a line a run as CSV."""
    write_csv(path, [asdict(run) for run in runs])


def study_summary(runs: Sequence[StudyRun]) -> dict[str, object]:
    """Which pair has the lowest and which the highest log loss, and whether the difference exceeds the seeds' spread.

    A pair's log loss is the mean over models and seeds; the spread is the standard deviation over seeds of the mean
    over models, the larger one of the two pairs, and None with a single seed.
    """
    losses = {pair: _by_seed(runs, pair) for pair in dict.fromkeys((run.lr, run.batch_size) for run in runs)}
    lowest, highest = (pick(losses, key=lambda pair: fmean(losses[pair])) for pick in (min, max))
    difference = fmean(losses[highest]) - fmean(losses[lowest])
    spreads = [stdev(losses[pair]) for pair in (lowest, highest) if len(losses[pair]) > 1]
    spread = max(spreads) if spreads else None
    told = f"The difference is {difference:.3f}; with a single seed its spread is not known."
    if spread is not None:
        verdict = "larger" if difference > spread else "not larger"
        told = f"The difference of {difference:.3f} is {verdict} than the spread over seeds ({spread:.3f})."
    return {
        "lowest": _pair_summary(lowest, losses),
        "highest": _pair_summary(highest, losses),
        "difference": difference,
        "seed_spread": spread,
        "finding": (
            f"Validation log loss, the mean over models, is lowest at lr {lowest[0]:g} and batch size {lowest[1]} "
            f"({fmean(losses[lowest]):.3f}) and highest at lr {highest[0]:g} and batch size {highest[1]} "
            f"({fmean(losses[highest]):.3f}). {told}"
        ),
    }


def _trained(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    cells: Sequence[TrainSettings],
    ensembled: Sequence[TrainSettings],
    *,
    width: int,
    workers: int,
) -> list[dict[str, np.ndarray]]:
    """For each cell, model -> logits of what is trained by it. ensembled: the cells' settings for the ensembles."""
    order = sorted(range(len(cells)), key=lambda number: cells[number].batch_size)  # the longest trainings first
    jobs: list[_Job] = [partial(_heads, cells=cells, name=name) for name in features]
    jobs += [partial(_net, settings=ensembled[number], width=width) for number in order]
    with _run_all(jobs, features, samples, workers=min(workers, len(jobs))) as parts:
        done = list(tqdm(parts, "study", total=len(jobs), disable=None))
    singles, nets = done[: len(features)], dict(zip(order, (net for (net,) in done[len(features) :]), strict=True))
    members = [dict(zip(features, logits, strict=True)) for logits in zip(*singles, strict=True)]
    with _alone():
        tasks = zip(members, ensembled, strict=True)
        logit = training.fit_linear([ensembling.logit_task(own, samples, settings=cell) for own, cell in tasks])
    return [own | {"logit": logit[number].logits, "feature": nets[number]} for number, own in enumerate(members)]


def _models(backbones: Sequence[str], trained: Mapping[str, np.ndarray], samples: Samples) -> dict[str, np.ndarray]:
    """Model -> logits: one a backbone, their weighted means, and the ensembles that are trained."""
    members = {name: trained[name] for name in backbones}
    means = {kind: made.logits for kind, made in ensembling.weighted_means(members, samples).items()}
    return {**members, **means, **trained}


def _heads(
    features: Mapping[str, np.ndarray], samples: Samples, *, cells: Sequence[TrainSettings], name: str
) -> list[np.ndarray]:
    """The logits of a backbone's head at each pair and seed, all trained at once."""
    table = training.as_float32(features[name])
    return [one.logits for one in training.train_all([HeadTask(table, samples, own, name) for own in cells])]


def _net(
    features: Mapping[str, np.ndarray], samples: Samples, *, settings: TrainSettings, width: int
) -> list[np.ndarray]:
    """The logits of the feature ensemble at one pair and seed."""
    return [ensembling.feature_net(features, samples, settings=settings, width=width).logits]


@contextmanager
def _run_all(
    jobs: Sequence[_Job], features: Mapping[str, np.ndarray], samples: Samples, *, workers: int
) -> Iterator[Iterable[list[np.ndarray]]]:
    """What each job makes of features and samples, in order; by so many processes, which end with the block."""
    if workers == 1:
        with _alone():
            yield (job(features, samples) for job in jobs)
        return
    whole = {name: np.asarray(x) for name, x in features.items()}
    others = active_children()
    with ProcessPoolExecutor(workers, get_context("spawn"), _Worker.begin, (whole, samples)) as pool:
        try:
            yield pool.map(_Worker.run, jobs)
        except BrokenProcessPool:
            raise PipelineError(
                "a process of the study was ended before its work was done, perhaps for want of memory; "
                "set runtime.workers to 1, which trains in one process alone"
            ) from None
        finally:  # after Ctrl-C or an error nobody waits for trainings that have begun
            for process in set(active_children()) - set(others):
                process.kill()


class _Worker:
    """What a process of the pool works on; it comes once, and not with each job."""

    features: Mapping[str, np.ndarray]
    samples: Samples

    @classmethod
    def begin(cls, features: Mapping[str, np.ndarray], samples: Samples) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal; the first process ends us
        tqdm.set_lock(RLock())  # else tqdm makes a semaphore, which nobody takes away when this process is killed
        Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
        cls.features, cls.samples = features, samples

    @classmethod
    def run(cls, job: _Job) -> list[np.ndarray]:
        with _alone():
            return job(cls.features, cls.samples)


def _end_with(parent: BaseProcess) -> None:
    """End this process when its parent has ended, even by a kill."""
    parent.join()
    os._exit(1)


@contextmanager
def _alone() -> Iterator[None]:
    """On one core, and without bars: several processes would write them at once."""
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), threadpool_limits(limits=1):
        yield


def _by_seed(runs: Sequence[StudyRun], pair: _Pair) -> list[float]:
    """The mean over models for each seed."""
    own = [run for run in runs if (run.lr, run.batch_size) == pair]
    return [fmean(run.log_loss for run in own if run.seed == seed) for seed in sorted({run.seed for run in own})]


def _pair_summary(pair: _Pair, losses: Mapping[_Pair, Sequence[float]]) -> dict[str, float]:
    return {"lr": pair[0], "batch_size": pair[1], "log_loss": fmean(losses[pair])}


def _run(model: str, logits: np.ndarray, samples: Samples, settings: TrainSettings) -> StudyRun:
    scores = score(logits, samples, split="val")
    return StudyRun(
        model=model,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=settings.seed,
        top1_accuracy=scores["top1_accuracy"],
        log_loss=scores["log_loss"],
        train_top1_accuracy=score(logits, samples, split="train")["top1_accuracy"],
    )
