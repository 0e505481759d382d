"""Which labels the images themselves do not bear out. Suspects are listed for a person; nothing is left out.

A label can be wrong in two ways. The image shows another class: a linear probe that has seen neither it nor its
group gives its label little probability (self-confidence of confident learning: Northcutt, Jiang, Chuang, 2021), and it
lies nearer to images of another class than to those of its own. Or it shows none of the classes: it is outlier, far
from all images of its own. Each way is a score in [0, 1], the share of its class that is less suspicious, and so the
scores mean the same for every class and backbone. The two lists are dealt alternately into one rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.curation.probe import probe
from tandem.curation.settings import LabelErrorSettings
from tandem.tables.index import Index
from tandem.tables.samples import Samples
from tandem.tables.splits import stratified_group_folds

ISSUE_COLUMNS = ("id", "label", "kind", "suggested_label", "issue_score", "rank", "self_confidence", "source", "file")
_REPEATS = 3  # dealings into folds, whose mean steadies the probabilities
# of the score for another class, the rest is the neighbors': measured on photographs and on the sample
_PROBE_WEIGHT = 0.15
_BLOCK = 1024


@dataclass(frozen=True)
class LabelIssues:
    """Of the n images that are used; rows (n,): where they stand in the samples.

    probs: (n, C) out-of-fold. mislabeled, outlier: (n,) scores in [0, 1]. rank: (n,) from 1 within the class.
    """

    rows: np.ndarray
    probs: np.ndarray
    mislabeled: np.ndarray
    outlier: np.ndarray
    rank: np.ndarray


def find_label_issues(
    features: Mapping[str, np.ndarray], samples: Samples, *, settings: LabelErrorSettings
) -> LabelIssues:
    """Scores of all images that are used. features: backbone -> (N, k, D), of whose
    TTA views the first counts, rows in the order of samples."""
    used = np.flatnonzero(samples.splits != "")
    targets = samples.targets[used]
    groups = np.unique(samples.groups[used], return_inverse=True)[1]
    parts = [np.asarray(views[used, 0], dtype=np.float32) for views in features.values()]
    num_classes = len(samples.class_names)
    probs = np.mean([_out_of_fold(x, targets, groups, num_classes, settings) for x in parts], axis=0)
    own, other = np.mean([_class_similarities(x, targets, groups, settings.num_neighbors) for x in parts], axis=0)
    doubted = _percentile(1 - probs[np.arange(len(used)), targets], targets)
    mislabeled = (1 - _PROBE_WEIGHT) * _percentile(other - own, targets) + _PROBE_WEIGHT * doubted
    outlier = _percentile(-own, targets)
    return LabelIssues(used, probs, mislabeled, outlier, _ranks(mislabeled, outlier, targets))


def list_issues(found: LabelIssues, samples: Samples, index: Index, *, fraction: float) -> list[dict[str, object]]:
    """One dict of COLUMNS for each suspect, those of another class first, the most suspicious first.

    kind: "mislabeled" or "outlier". suggested: the likeliest other class. fraction: see LabelErrorSettings.
    """
    targets = samples.targets[found.rows]
    tops = {kind: _percentile(getattr(found, kind), targets) >= 1 - fraction for kind in ("mislabeled", "outlier")}
    rows = []
    for n in np.flatnonzero(tops["mislabeled"] | tops["outlier"]).tolist():
        row, record = found.rows[n], index.records[found.rows[n]]
        kind = "mislabeled" if tops["mislabeled"][n] else "outlier"
        others = np.where(np.arange(len(samples.class_names)) == targets[n], -1, found.probs[n])
        values = (
            str(samples.ids[row]),
            str(samples.labels[row]),
            kind,
            samples.class_names[others.argmax()] if len(others) > 1 else "",
            float(getattr(found, kind)[n]),
            int(found.rank[n]),
            float(found.probs[n, targets[n]]),
            str(samples.sources[row]),
            record.origins[0].path,
        )
        rows.append(dict(zip(ISSUE_COLUMNS, values, strict=True)))
    return sorted(rows, key=lambda row: (row["kind"] == "outlier", -float(str(row["issue_score"])), row["id"]))


def label_error_summary(
    found: LabelIssues, samples: Samples, rows: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """For the metrics: out-of-fold top-1 accuracy, and by class its images, suspects, and likely wrong labels.

    Likely wrong: images whose probability of another class reaches that class's mean self-confidence, off the
    diagonal of the confident joint (Northcutt, Jiang, Chuang, 2021).
    """
    targets = samples.targets[found.rows]
    own = found.probs[np.arange(len(targets)), targets]
    present = np.unique(targets)
    thresholds = np.full(len(samples.class_names), np.inf)
    thresholds[present] = [own[targets == number].mean() for number in present]
    confident = np.where(found.probs >= thresholds, found.probs, -1)
    claimed = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), targets)
    is_issue = claimed != targets
    return {
        "out_of_fold_top1_accuracy": float((found.probs.argmax(axis=1) == targets).mean()),
        "label_issues": int(is_issue.sum()),
        "listed": len(rows),
        "classes": {
            name: {
                "support": int((targets == number).sum()),
                "listed": sum(row["label"] == name for row in rows),
                "label_issues": int(((targets == number) & is_issue).sum()),
            }
            for number, name in enumerate(samples.class_names)
        },
    }


def _out_of_fold(
    x: np.ndarray, targets: np.ndarray, groups: np.ndarray, num_classes: int, settings: LabelErrorSettings
) -> np.ndarray:
    """(n, C) probabilities by probes that have seen no image of the row's group, the mean of all repeats."""
    total = np.zeros((len(x), num_classes))
    for repeat in range(_REPEATS):
        fold_of = stratified_group_folds(targets, groups, num_folds=settings.folds, seed=settings.seed + repeat)
        for fold in np.unique(fold_of):
            held = fold_of == fold
            if held.all():
                total[held] += 1 / num_classes
            else:
                total[held] += probe(x[~held], targets[~held], x[held], num_classes=num_classes)
    return total / _REPEATS


def _class_similarities(
    x: np.ndarray, targets: np.ndarray, groups: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) mean cosine to the k nearest of the own class and to the k nearest of others, each of other groups.

    Of fewer, all count; of none, the mean is 0.
    """
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    own, other = np.zeros(len(x)), np.zeros(len(x))
    for start in range(0, len(x), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosines = unit[block] @ unit.T
        is_other_group = groups[block, None] != groups[None]
        is_own_class = targets[block, None] == targets[None]
        own[block] = _mean_of_highest(np.where(is_other_group & is_own_class, cosines, -np.inf), k)
        other[block] = _mean_of_highest(np.where(is_other_group & ~is_own_class, cosines, -np.inf), k)
    return own, other


def _mean_of_highest(cosines: np.ndarray, k: int) -> np.ndarray:
    """(b,) mean of the k highest that are finite of each row; 0 where none is."""
    best = -np.partition(-cosines, min(k, cosines.shape[1] - 1), axis=1)[:, :k]
    is_there = np.isfinite(best)
    return np.where(is_there, best, 0).sum(axis=1) / np.maximum(is_there.sum(axis=1), 1)


def _percentile(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1): share of the images of the same class whose value is lower."""
    result = np.zeros(len(values))
    for number in np.unique(targets):
        rows = targets == number
        result[rows] = np.searchsorted(np.sort(values[rows]), values[rows]) / rows.sum()
    return result


def _ranks(mislabeled: np.ndarray, outlier: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) from 1 within each class: the first by either score, then the second by either, and so on."""
    rank = np.zeros(len(targets), dtype=np.int64)
    for number in np.unique(targets):
        rows = np.flatnonzero(targets == number)
        places = [np.argsort(np.argsort(-score[rows], kind="stable"), kind="stable") for score in (mislabeled, outlier)]
        order = np.lexsort((places[0], np.minimum(*places)))
        rank[rows[order]] = np.arange(1, len(rows) + 1)
    return rank
