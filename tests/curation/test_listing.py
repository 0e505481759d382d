"""The list for a person and what the metrics say of it."""

import numpy as np
import pytest

from factories import CLASSES
from planted_labels import OUTLIER, SETTINGS, SWAPPED, blobs, by_backbone, index, labelled, members_of, sample
from tandem.curation.label_errors.listing import ISSUE_COLUMNS, label_error_summary, list_issues
from tandem.curation.label_errors.scores import LabelIssues, find_label_issues
from tandem.tables.samples import Samples


@pytest.fixture(scope="module")
def issues() -> LabelIssues:
    return find_label_issues(by_backbone(blobs()), labelled(), settings=SETTINGS)


def test_an_image_like_none_of_its_class_is_an_outlier(issues: LabelIssues) -> None:
    n = issues.rows.tolist().index(OUTLIER)
    members = members_of(issues, OUTLIER % 3)
    assert sum(issues.outlier[members] > issues.outlier[n]) <= 2  # images of other classes may be as far
    kinds = {row["id"]: row["kind"] for row in list_issues(issues, labelled(), index(), fraction=0.1)}
    assert f"{OUTLIER:03}" in kinds
    assert "outlier" in kinds.values()


def test_planted_wrong_labels_come_first_with_the_class_that_they_show(issues: LabelIssues) -> None:
    listed = list_issues(issues, labelled(), index(), fraction=0.1)
    first = {row["id"]: row for row in listed[: len(SWAPPED)]}
    assert set(first) == {f"{row:03}" for row in SWAPPED}
    for row, label in SWAPPED.items():
        issue = first[f"{row:03}"]
        assert (issue["kind"], issue["label"], issue["suggested_label"]) == ("mislabeled", label, CLASSES[row % 3])
        assert issue["self_confidence"] < 0.2
        assert (issue["rank"], issue["source"], issue["file"]) == (1, "web", f"{row}.jpg")


def test_the_list_is_of_its_columns_and_of_the_fraction_by_either_score(issues: LabelIssues) -> None:
    listed = list_issues(issues, labelled(), index(), fraction=0.1)
    assert {tuple(row) for row in listed} == {ISSUE_COLUMNS}
    for target, name in enumerate(CLASSES):
        size = len(members_of(issues, target))
        assert 0.1 * size <= sum(row["label"] == name for row in listed) <= 2 * (0.1 * size + 1)
    kinds = [row["kind"] for row in listed]
    assert kinds == sorted(kinds, key=("mislabeled", "outlier").index)


def test_the_metrics_count_images_listed_ones_and_label_issues(issues: LabelIssues) -> None:
    listed = list_issues(issues, labelled(), index(), fraction=0.1)
    counts = label_error_summary(issues, labelled(), listed)
    classes = counts["classes"].values()
    assert counts["listed"] == len(listed) == sum(entry["listed"] for entry in classes)
    assert sum(entry["support"] for entry in classes) == 108
    assert counts["label_issues"] == sum(entry["label_issues"] for entry in classes)
    assert counts["label_issues"] == pytest.approx(len(SWAPPED), abs=1)
    assert counts["out_of_fold_top1_accuracy"] == pytest.approx(105 / 108, abs=0.02)


def test_label_issues_are_those_off_the_diagonal_of_the_confident_joint() -> None:
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.8, 0.2]])
    targets = np.array([0, 0, 0, 1, 1])  # mean self-confidence: (0.9 + 0.7 + 0.2) / 3 = 0.6 and (0.6 + 0.2) / 2 = 0.4
    zeros = np.zeros(5)
    issues = LabelIssues(np.arange(5), targets, probs, zeros, zeros, zeros)
    samples = Samples.of(CLASSES[:2], [sample(row, CLASSES[target]) for row, target in enumerate(targets)])
    counts = label_error_summary(issues, samples, [])["classes"]
    assert [counts[name]["label_issues"] for name in CLASSES[:2]] == [1, 1]  # the third image and the last one


def test_a_class_of_one_group_alone_and_one_without_images_are_no_errors() -> None:
    names = ("car", "truck", "none")
    samples = Samples.of(
        names, [sample(row, "truck", group="one") if row < 2 else sample(row, "car") for row in range(60)]
    )
    found = find_label_issues(by_backbone(blobs(60)), samples, settings=SETTINGS)
    assert np.isfinite(found.mislabeled).all()
    assert found.probs[0, 1] == 0  # no probe has seen a truck of another group
    listed = list_issues(found, samples, index(60), fraction=0.1)
    assert label_error_summary(found, samples, listed)["classes"]["none"] == {
        "support": 0,
        "listed": 0,
        "label_issues": 0,
    }


def test_with_one_class_alone_there_is_no_other_to_suggest() -> None:
    samples = Samples.of(("car",), [sample(row, "car") for row in range(60)])
    found = find_label_issues(by_backbone(blobs(60)), samples, settings=SETTINGS)
    assert {row["suggested_label"] for row in list_issues(found, samples, index(60), fraction=0.1)} == {""}


def test_the_confident_joint_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 60)  # the first class is the surest, the last one is not sure at all
    probs = np.array([rng.dirichlet(1 + np.array([6, 2, 0])[target] * np.eye(3)[target]) for target in targets])
    thresholds = [
        np.mean([row[target] for row, of in zip(probs, targets, strict=True) if of == target]) for target in range(3)
    ]
    expected = dict.fromkeys(CLASSES, 0)
    for row, target in zip(probs.tolist(), targets.tolist(), strict=True):
        confident = [number for number in range(3) if row[number] >= thresholds[number]]
        expected[CLASSES[target]] += bool(confident) and max(confident, key=row.__getitem__) != target
    zeros = np.zeros(60)
    issues = LabelIssues(np.arange(60), targets, probs, zeros, zeros, zeros)
    samples = Samples.of(CLASSES, [sample(row, CLASSES[target]) for row, target in enumerate(targets)])
    counts = label_error_summary(issues, samples, [])
    assert {name: counts["classes"][name]["label_issues"] for name in CLASSES} == expected
    assert counts["label_issues"] == sum(expected.values())
    assert 5 < counts["label_issues"] < 50
