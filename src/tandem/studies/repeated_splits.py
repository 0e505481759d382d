"""The models trained anew on other splits of the same groups: how much the scores of one split say.

Repeated hold-out, also called Monte Carlo cross-validation. Scores on the test images of other splits are to be read,
not to choose by: those images are in train or validation of the split that models are selected from, and the other way
round.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from tandem.errors import LeakageError
from tandem.evaluation.bootstrap import paired_difference, score_intervals
from tandem.evaluation.conformal import set_means, set_threshold
from tandem.evaluation.metrics import METRICS, WITH_INTERVALS, Predictions
from tandem.evaluation.report import ece_expected_if_calibrated
from tandem.evaluation.scores import best_on, predictions_on
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import write_csv
from tandem.studies.workers import run_jobs
from tandem.tables.samples import SPLITS, Samples
from tandem.tables.splits import assign_split
from tandem.training.ensembles import EnsembleInputs, combine_all
from tandem.training.out_of_fold import train_with_folds
from tandem.training.selection import select_model
from tandem.training.settings import EnsembleSettings, TrainSettings
from tandem.training.task import head_task

_TRIES = 20  # seeds tried for each one that is wanted


@dataclass(frozen=True, eq=False)
class SplitResult:
    """All models on the split of one seed. logits: model -> (N, C). single: the best of one backbone on validation."""

    seed: int
    samples: Samples
    logits: Mapping[str, np.ndarray]
    selected: str
    single: str


def reassign_splits(samples: Samples, *, fractions: Mapping[str, float], seed: int) -> Samples:
    """The same images with each group in the split that another seed gives it; what is excluded stays so."""
    splits = [
        assign_split(group, fractions=fractions, seed=seed) if split else ""
        for group, split in zip(samples.groups.tolist(), samples.splits.tolist(), strict=True)
    ]
    return samples.with_splits(np.array(splits, dtype=np.str_))


def _has_every_class(samples: Samples) -> bool:
    """Whether each split has an image of each class."""
    return all(len(np.unique(samples.split(name).targets)) == len(samples.class_names) for name in SPLITS)


def repeated_splits(
    samples: Samples, *, fractions: Mapping[str, float], first_seed: int, num_splits: int
) -> dict[int, Samples]:
    """Seed -> samples for so many seeds from the first on; one that leaves a class out of a split is passed over."""
    num_tries = _TRIES * num_splits
    tried = (
        (seed, reassign_splits(samples, fractions=fractions, seed=seed))
        for seed in range(first_seed, first_seed + num_tries)
    )
    by_seed = dict(islice((pair for pair in tried if _has_every_class(pair[1])), num_splits))
    if len(by_seed) < num_splits:
        raise LeakageError(
            f"of {num_tries} split seeds from {first_seed} on only {len(by_seed)} put an image of every class in every "
            f"split, and evaluate.num_splits asks for {num_splits}; "
            "add images of the rarest class, or take fewer splits"
        )
    return by_seed


def repeat_splits(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    train: TrainSettings,
    ensemble: EnsembleSettings,
    fractions: Mapping[str, float],
    first_seed: int,
    num_splits: int,
    workers: int,
) -> list[SplitResult]:
    """All models on so many splits; none without a frozen backbone. features: backbone -> (N, D) or (N, k, D).

    workers: processes that train, one core each; how many there are changes no result.
    """
    if not features or not num_splits:
        return []
    by_seed = repeated_splits(samples, fractions=fractions, first_seed=first_seed, num_splits=num_splits)
    in_memory = {name: np.asarray(of_backbone) for name, of_backbone in features.items()}
    jobs = [
        partial(run_split, samples=split, seed=seed, train=train, ensemble=ensemble) for seed, split in by_seed.items()
    ]
    with run_jobs(jobs, in_memory, workers=min(workers, len(jobs))) as results:
        return list(results)


def run_split(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    seed: int,
    train: TrainSettings,
    ensemble: EnsembleSettings,
) -> SplitResult:
    """Heads and ensembles as the pipeline trains them, but for the study's models. seed: of the split."""
    trained = {
        name: train_with_folds(head_task(of_backbone, samples, train, name)) for name, of_backbone in features.items()
    }
    singles = {name: head.logits for name, (head, _) in trained.items()}
    out_of_fold = {name: logits for name, (_, logits) in trained.items()}
    ensembles = combine_all(EnsembleInputs(samples, features, singles, out_of_fold, {}, train, ensemble))
    return SplitResult(
        seed=seed,
        samples=samples,
        logits={**singles, **{kind: combined.logits for kind, combined in ensembles.items()}},
        selected=select_model(ensemble.kind, ensembles, samples.val, singles=singles),
        single=best_on(samples.val, singles),
    )


@dataclass(frozen=True)
class SplitScores:
    """One model on the test images of one split. is_selected: it is the one that would be selected."""

    seed: int
    model: str
    is_selected: bool
    top1_accuracy: float
    macro_f1: float
    log_loss: float
    ece: float


SCORE_COLUMNS = tuple(field.name for field in fields(SplitScores))


def split_scores(results: Sequence[SplitResult]) -> list[SplitScores]:
    """One row a split and model."""
    return [_split_scores(result, model) for result in results for model in result.logits]


def _split_scores(result: SplitResult, model: str) -> SplitScores:
    predictions = predictions_on(result.samples.test, result.logits[model])
    scores = {name: METRICS[name](predictions) for name in WITH_INTERVALS}
    return SplitScores(result.seed, model, model == result.selected, **scores)


def save_scores(results: Sequence[SplitResult], path: Path) -> None:
    """Write a line a split and model as CSV."""
    write_csv(path, [asdict(row) for row in split_scores(results)], columns=SCORE_COLUMNS)


def repeated_splits_summary(results: Sequence[SplitResult], *, settings: EvaluateSettings) -> dict[str, object]:
    """Mean and spread over splits of each model's scores, and of what would be selected; pooled, that one's scores.

    pooled: on the test images of all splits together, with confidence intervals by a bootstrap over groups; so are the
    differences of what would be selected to the best single model, and of the student to it. Without splits there are
    no scores.
    """
    if not results:
        return {"seeds": []}
    rows, selected = split_scores(results), [result.selected for result in results]
    pooled, groups = _pooled(results, selected), np.concatenate([result.samples.test.groups for result in results])
    single = _pooled(results, [result.single for result in results])
    student = _pooled(results, ["student"] * len(results))
    ids = [id_ for result in results for id_ in result.samples.test.ids]
    num_resamples, seed = settings.num_resamples, settings.seed
    gain, loss = (
        paired_difference(one, other, groups, num_resamples=num_resamples, seed=seed)
        for one, other in ((pooled, single), (student, pooled))
    )
    intervals = score_intervals(pooled, groups, num_resamples=num_resamples, seed=seed)
    return {
        "seeds": [result.seed for result in results],
        "selected": {**_spread([row for row in rows if row.is_selected]), "kinds": dict(Counter(selected))},
        "models": {model: _spread([row for row in rows if row.model == model]) for model in results[0].logits},
        "selected_minus_best_single": {name: asdict(each) for name, each in gain.items()},
        "student_minus_selected": {name: asdict(each) for name, each in loss.items()},
        "prediction_sets": _spread_of_sets(results, settings),
        "pooled": {
            "images": len(pooled),
            **{name: asdict(interval) for name, interval in intervals.items()},
            "ece_expected_if_calibrated": ece_expected_if_calibrated(pooled, ids, settings),
        },
    }


def _pooled(results: Sequence[SplitResult], models: Sequence[str]) -> Predictions:
    """The predictions on the test images of all splits. models: one a split."""
    parts = [
        predictions_on(result.samples.test, result.logits[model]) for result, model in zip(results, models, strict=True)
    ]
    return Predictions(
        targets=np.concatenate([part.targets for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        probs=np.concatenate([part.probs for part in parts]),
    )


def _spread(rows: Sequence[SplitScores]) -> dict[str, dict[str, float]]:
    """Score -> what _spread_of gives."""
    return {name: _spread_of([getattr(row, name) for row in rows]) for name in WITH_INTERVALS}


def _spread_of(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation (0 of a single value), lowest and highest."""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return {"mean": fmean(values), "stdev": deviation, "low": min(values), "high": max(values)}


def _spread_of_sets(results: Sequence[SplitResult], settings: EvaluateSettings) -> dict[str, dict[str, float]]:
    """Coverage and mean size of the prediction sets of what is selected, each split by its own validation."""
    found = {"coverage": list[float](), "mean_size": list[float]()}
    for result in results:
        val, test = result.samples.val, result.samples.test
        logits = result.logits[result.selected]
        threshold = set_threshold(predictions_on(val, logits), val.groups, coverage=settings.set_coverage)
        of_split = set_means(predictions_on(test, logits), test.groups, threshold=threshold)
        for name, values in found.items():
            values.append(of_split[name])
    return {name: _spread_of(values) for name, values in found.items()}
