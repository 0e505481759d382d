"""The models trained anew on other splits of the same groups: how much the scores of one split say.

Scores on the test images of other splits are to be read, not to choose by: those images are in train or validation
of the split that models are selected from, and the other way round.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from tandem.errors import LeakageError
from tandem.evaluation import bootstrap as intervals
from tandem.evaluation import report
from tandem.evaluation.metrics import softmax
from tandem.evaluation.scores import score
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import write_csv
from tandem.tables.samples import SPLITS, Samples
from tandem.tables.splits import assign_split
from tandem.training.settings import EnsembleSettings, TrainSettings

_TRIES = 20  # seeds looked at for each one that is wanted
_SCORES = ("top1_accuracy", "macro_f1", "log_loss", "ece")


@dataclass(frozen=True)
class SplitResult:
    """All models on the split of one seed. logits: model -> (N, C). single: the best of one backbone on validation."""

    seed: int
    samples: Samples
    logits: Mapping[str, np.ndarray]
    selected: str
    single: str


def reassign_splits(samples: Samples, *, fractions: Mapping[str, float], seed: int) -> Samples:
    """The same images with each group drawn by another seed; what was left out stays out."""
    splits = [
        assign_split(group, fractions=fractions, seed=seed) if split else ""
        for group, split in zip(samples.groups.tolist(), samples.splits.tolist(), strict=True)
    ]
    return samples.with_splits(np.array(splits, dtype=np.str_))


def _num_filled(samples: Samples) -> int:
    """How many pairs of a split and a class have an image."""
    return sum(len(np.unique(samples.split(name).targets)) for name in SPLITS)


def repeated_splits(samples: Samples, *, fractions: Mapping[str, float], first: int, seeds: int) -> dict[int, Samples]:
    """Seed -> samples for so many seeds from `first` on; one that leaves a class out of a split is passed over."""
    wanted = len(SPLITS) * len(samples.class_names)
    tried = (
        (seed, reassign_splits(samples, fractions=fractions, seed=seed))
        for seed in range(first, first + _TRIES * seeds)
    )
    whole = ((seed, own) for seed, own in tried if _num_filled(own) == wanted)
    found = dict(islice(whole, seeds))
    if len(found) < seeds:
        raise LeakageError(
            f"of {_TRIES * seeds} split seeds from {first} on only {len(found)} put an image of every class in every "
            f"split, and evaluate.num_splits asks for {seeds}; add images of the rarest class, or take fewer seeds"
        )
    return found


def repeat_splits(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    train: TrainSettings,
    ensemble: EnsembleSettings,
    fractions: Mapping[str, float],
    first_seed: int,
    num_splits: int,
) -> list[SplitResult]:
    """All models on so many splits; none without a frozen backbone. features: backbone -> (N, D) or (N, k, D)."""
    if not features:
        return []
    splits = repeated_splits(samples, fractions=fractions, first=first_seed, seeds=num_splits)
    return [run_split(features, own, seed=seed, train=train, ensemble=ensemble) for seed, own in splits.items()]


def run_split(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    seed: int,
    train: TrainSettings,
    ensemble: EnsembleSettings,
) -> SplitResult:
    """Heads and ensembles as the pipeline trains them, but for the study's models. features: backbone -> (N, D).

    seed: of the split. train, ensemble: those sections of the parameters.
    """
    from tandem.training import ensembles as ensembling
    from tandem.training import heads as training  # torch costs seconds, and without a repeat none of it is needed

    trained = {
        name: training.train_with_folds(training.HeadTask(training.as_float32(x), samples, train, name))
        for name, x in features.items()
    }
    singles = {name: head.logits for name, (head, _) in trained.items()}
    held_out = {name: logits for name, (_, logits) in trained.items()}
    members = ensembling.EnsembleInputs(features=features, logits=singles, out_of_fold=held_out, library={})
    ensembles = ensembling.combine_all(members, samples, train, ensemble)
    return SplitResult(
        seed=seed,
        samples=samples,
        logits={**singles, **{kind: made.logits for kind, made in ensembles.items()}},
        selected=ensembling.select_ensemble(ensemble.kind, ensembles, samples),
        single=report.best_on_val(singles, samples),
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


def split_scores(repeats: Sequence[SplitResult]) -> list[SplitScores]:
    """One row a seed and model."""
    rows = []
    for each in repeats:
        for model, logits in each.logits.items():
            scores = score(logits, each.samples, split="test")
            own = {name: scores[name] for name in _SCORES}
            rows.append(SplitScores(each.seed, model, model == each.selected, **own))
    return rows


def save_scores(results: Sequence[SplitResult], path: Path) -> None:
    """Write a line a split and model as CSV."""
    write_csv(path, [asdict(row) for row in split_scores(results)], columns=SCORE_COLUMNS)


def repeated_splits_summary(repeats: Sequence[SplitResult], *, settings: EvaluateSettings) -> dict[str, object]:
    """Mean and spread over seeds of each model's scores, and of what would be selected; that one on all rows together.

    Together: the test images of all seeds, limits by a bootstrap over groups. Without repeats there are no scores.
    """
    if not repeats:
        return {"seeds": []}
    rows = split_scores(repeats)
    selected, single = ([getattr(each, what) for each in repeats] for what in ("selected", "single"))
    together, best = _pooled(repeats, selected), _pooled(repeats, single)
    target, probs, groups = together.target, together.probs, together.groups
    knobs = {"num_resamples": settings.num_resamples, "seed": settings.seed}
    difference = intervals.paired_difference(target=target, probs=probs, other_probs=best.probs, groups=groups, **knobs)
    limits = intervals.score_intervals(target=target, probs=probs, groups=groups, **knobs)
    return {
        "seeds": [each.seed for each in repeats],
        "selected": {**_spread([row for row in rows if row.is_selected]), "kinds": dict(Counter(selected))},
        "models": {model: _spread([row for row in rows if row.model == model]) for model in repeats[0].logits},
        "selected_minus_best_single": {name: asdict(each) for name, each in difference.items()},
        "pooled": {
            "images": len(together.target),
            **{name: asdict(limit) for name, limit in limits.items()},
            "ece_expected_if_calibrated": report.ece_expected_if_calibrated(
                together.probs, together.ids, settings=settings
            ),
        },
    }


@dataclass(frozen=True)
class _Pooled:
    """The test rows of all repeats: ids and groups (n,), target (n,), probs (n, C)."""

    ids: list[str]
    groups: np.ndarray
    target: np.ndarray
    probs: np.ndarray


def _pooled(repeats: Sequence[SplitResult], models: Sequence[str]) -> _Pooled:
    """models: one a repeat."""
    tests = [each.samples.test for each in repeats]
    return _Pooled(
        ids=[id_ for test in tests for id_ in test.ids],
        groups=np.concatenate([test.groups for test in tests]),
        target=np.concatenate([test.targets for test in tests]),
        probs=np.concatenate(
            [softmax(each.logits[model][test.rows]) for each, model, test in zip(repeats, models, tests, strict=True)]
        ),
    )


def _spread(rows: Sequence[SplitScores]) -> dict[str, dict[str, float]]:
    """Score -> mean, standard deviation (0 of a single row), lowest and highest."""
    found = {}
    for name in _SCORES:
        values = [getattr(row, name) for row in rows]
        deviation = stdev(values) if len(values) > 1 else 0.0
        found[name] = {"mean": fmean(values), "stdev": deviation, "low": min(values), "high": max(values)}
    return found
