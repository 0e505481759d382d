"""Which labels the images themselves do not bear out. Label issues are listed for a person; nothing is excluded.

A label can be wrong in two ways. Mislabeled: the image shows another class. A linear probe that has seen neither it
nor its group gives its label little probability (self-confidence of confident learning: Northcutt, Jiang, Chuang,
2021), and it is more similar to images of another class than to those of its own. Outlier: the image shows none of the
classes, and is far from all images of its own. Each way is a score in [0, 1], the fraction of its class that scores
lower, so that it means the same for every class and backbone. The two lists are merged alternately into one rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.curation.probe import probe
from tandem.curation.settings import LabelErrorSettings
from tandem.tables.index import Index
from tandem.tables.samples import Samples
from tandem.tables.splits import stratified_group_folds

ISSUE_COLUMNS = ("id", "label", "kind", "suggested_label", "issue_score", "rank", "self_confidence", "source", "file")
_REPEATS = 3  # of the division into folds; the mean steadies the probabilities
# of the score for mislabeled, the rest is the neighbors': measured on photographs and on the sample
_PROBE_WEIGHT = 0.15
_BLOCK = 1024


@dataclass(frozen=True)
class LabelIssues:
    """Of the n images that are used; rows (n,): where they stand in the samples. targets: (n,) class indices.

    probs: (n, C) out-of-fold. mislabeled, outlier: (n,) scores in [0, 1]. rank: (n,) from 1 within the class.
    """

    rows: np.ndarray
    targets: np.ndarray
    probs: np.ndarray
    mislabeled: np.ndarray
    outlier: np.ndarray
    rank: np.ndarray

    @property
    def self_confidence(self) -> np.ndarray:
        """(n,) out-of-fold probability of the image's own label."""
        return _self_confidence(self.probs, self.targets)


def find_label_issues(
    features: Mapping[str, np.ndarray], samples: Samples, *, settings: LabelErrorSettings
) -> LabelIssues:
    """Scores of all images that are used.

    features: backbone -> (N, k, D), of whose TTA views the first counts, in the order of samples.
    """
    rows = np.flatnonzero(samples.splits != "")
    targets = samples.targets[rows]
    groups = np.unique(samples.groups[rows], return_inverse=True)[1]
    used = [np.asarray(tta_views[rows, 0], dtype=np.float32) for tta_views in features.values()]
    num_classes = len(samples.class_names)
    probs = np.mean([_out_of_fold_probs(each, targets, groups, num_classes, settings) for each in used], axis=0)
    same_class, other_class = np.mean(
        [_class_similarities(each, targets, groups, settings.num_neighbors) for each in used], axis=0
    )
    doubt = _percentile(1 - _self_confidence(probs, targets), targets)
    mislabeled = (1 - _PROBE_WEIGHT) * _percentile(other_class - same_class, targets) + _PROBE_WEIGHT * doubt
    outlier = _percentile(-same_class, targets)
    return LabelIssues(rows, targets, probs, mislabeled, outlier, _ranks(mislabeled, outlier, targets))


def list_issues(issues: LabelIssues, samples: Samples, index: Index, *, fraction: float) -> list[dict[str, object]]:
    """One dict of ISSUE_COLUMNS for each listed image, mislabeled ones first, the highest issue_score first.

    kind: "mislabeled" or "outlier". suggested_label: the likeliest other class. fraction: see LabelErrorSettings.
    """
    is_mislabeled = _percentile(issues.mislabeled, issues.targets) >= 1 - fraction
    is_outlier = _percentile(issues.outlier, issues.targets) >= 1 - fraction
    suggested, self_confidence = _likeliest_others(issues.probs, issues.targets), issues.self_confidence
    listed = []
    for n in np.flatnonzero(is_mislabeled | is_outlier).tolist():
        row = issues.rows[n]
        values = (
            str(samples.ids[row]),
            str(samples.labels[row]),
            "mislabeled" if is_mislabeled[n] else "outlier",
            samples.class_names[suggested[n]] if len(samples.class_names) > 1 else "",
            float((issues.mislabeled if is_mislabeled[n] else issues.outlier)[n]),
            int(issues.rank[n]),
            float(self_confidence[n]),
            str(samples.sources[row]),
            index.origins[row][0].path,
        )
        listed.append(dict(zip(ISSUE_COLUMNS, values, strict=True)))
    return sorted(listed, key=lambda row: (row["kind"] == "outlier", -float(str(row["issue_score"])), row["id"]))


def label_error_summary(
    issues: LabelIssues, samples: Samples, listed: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """For the metrics: out-of-fold top-1 accuracy, and by class its images, those listed, and label issues.

    label_issues: images off the diagonal of the confident joint (Northcutt, Jiang, Chuang, 2021). listed: what
    list_issues gave.
    """
    is_issue = _is_off_diagonal(issues.probs, issues.targets)
    return {
        "out_of_fold_top1_accuracy": float((issues.probs.argmax(axis=1) == issues.targets).mean()),
        "label_issues": int(is_issue.sum()),
        "listed": len(listed),
        "classes": {
            name: {
                "support": int((issues.targets == number).sum()),
                "listed": sum(row["label"] == name for row in listed),
                "label_issues": int(((issues.targets == number) & is_issue).sum()),
            }
            for number, name in enumerate(samples.class_names)
        },
    }


def _self_confidence(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return probs[np.arange(len(targets)), targets]


def _likeliest_others(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) the class of the highest probability (n, C) but for the image's own."""
    others = probs.copy()
    others[np.arange(len(targets)), targets] = -1
    return others.argmax(axis=1)


def _is_off_diagonal(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) whether the confident joint counts an image in another class than its own.

    It does where the likeliest class, of those whose probability reaches that class's mean self-confidence, is another.
    """
    self_confidence = _self_confidence(probs, targets)
    present = np.unique(targets)
    thresholds = np.full(probs.shape[1], np.inf)
    thresholds[present] = [self_confidence[targets == number].mean() for number in present]
    confident = np.where(probs >= thresholds, probs, -1)
    joint_class = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), targets)
    return joint_class != targets


def _out_of_fold_probs(
    features: np.ndarray, targets: np.ndarray, groups: np.ndarray, num_classes: int, settings: LabelErrorSettings
) -> np.ndarray:
    """(n, C) probabilities by probes that have seen no image of the same group, the mean of all repeats."""
    total = np.zeros((len(features), num_classes))
    for repeat in range(_REPEATS):
        fold_of = stratified_group_folds(targets, groups, num_folds=settings.folds, seed=settings.seed + repeat)
        for fold in np.unique(fold_of):
            out = fold_of == fold
            if out.all():
                total[out] += 1 / num_classes
            else:
                total[out] += probe(features[~out], targets[~out], features[out], num_classes=num_classes)
    return total / _REPEATS


def _class_similarities(
    features: np.ndarray, targets: np.ndarray, groups: np.ndarray, num_neighbors: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) mean cosine to the nearest of the same class and to the nearest of other classes, each of other groups.

    num_neighbors: so many of either; of fewer, all count; of none, the mean is 0.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    same_class, other_class = np.zeros(len(features)), np.zeros(len(features))
    for start in range(0, len(features), _BLOCK):
        block = slice(start, start + _BLOCK)
        with threadpool_limits(limits=1):  # one that is nearly as high may stand first on another number of cores
            cosines = unit[block] @ unit.T
        is_other_group = groups[block, None] != groups[None]
        is_same_class = targets[block, None] == targets[None]
        same_class[block] = _mean_of_highest(np.where(is_other_group & is_same_class, cosines, -np.inf), num_neighbors)
        other_class[block] = _mean_of_highest(
            np.where(is_other_group & ~is_same_class, cosines, -np.inf), num_neighbors
        )
    return same_class, other_class


def _mean_of_highest(cosines: np.ndarray, k: int) -> np.ndarray:
    """(b,) mean of the k highest that are finite of each row; 0 where none is."""
    highest = -np.partition(-cosines, min(k, cosines.shape[1] - 1), axis=1)[:, :k]
    is_finite = np.isfinite(highest)
    return np.where(is_finite, highest, 0).sum(axis=1) / np.maximum(is_finite.sum(axis=1), 1)


def _percentile(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1): fraction of the images of the same class whose value is lower."""
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
