"""The list of label issues for a person, and what the metrics say of them. Nothing is excluded."""

from collections.abc import Mapping, Sequence

import numpy as np

from tandem.curation.label_errors.scores import LabelIssues, fraction_lower
from tandem.tables.index import Index
from tandem.tables.samples import Samples

ISSUE_COLUMNS = ("id", "label", "kind", "suggested_label", "issue_score", "rank", "self_confidence", "source", "file")


def list_issues(issues: LabelIssues, samples: Samples, index: Index, *, fraction: float) -> list[dict[str, object]]:
    """One dict of ISSUE_COLUMNS for each listed image, mislabeled ones first, the highest issue_score first.

    kind: "mislabeled" or "outlier". suggested_label: the likeliest other class. fraction: see LabelErrorSettings.
    """
    is_mislabeled = fraction_lower(issues.mislabeled, issues.targets) >= 1 - fraction
    is_outlier = fraction_lower(issues.outlier, issues.targets) >= 1 - fraction
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


def _likeliest_others(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) the class of the highest probability (n, C) but for the image's own."""
    others = probs.copy()
    others[np.arange(len(targets)), targets] = -1
    return others.argmax(axis=1)


def _is_off_diagonal(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) whether the confident joint counts an image in another class than its own.

    It does where the likeliest class, of those whose probability reaches that class's mean self-confidence, is another.
    """
    self_confidence = probs[np.arange(len(targets)), targets]
    present = np.unique(targets)
    thresholds = np.full(probs.shape[1], np.inf)
    thresholds[present] = [self_confidence[targets == number].mean() for number in present]
    confident = np.where(probs >= thresholds, probs, -1)
    joint_class = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), targets)
    return joint_class != targets
