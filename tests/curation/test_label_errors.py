"""Wrong labels planted among blobs of features, and each part against a second implementation."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from factories import CLASSES, label_error_settings
from tandem.curation import label_errors
from tandem.curation.label_errors import (
    ISSUE_COLUMNS,
    LabelIssues,
    find_label_issues,
    label_error_summary,
    list_issues,
)
from tandem.curation.probe import probe
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.samples import Sample, Samples
from tandem.tables.splits import stratified_group_folds

SETTINGS = label_error_settings()
SWAPPED = {3: "truck", 70: "car", 101: "motorcycle"}  # row -> the label that it was given
OUTLIER = 50


def blobs(num: int = 120, dim: int = 32, seed: int = 0) -> np.ndarray:
    """(num, dim) features around three centers, in turn; those of OUTLIER lie elsewhere."""
    rng = np.random.default_rng(seed)
    centers = 3 * rng.normal(size=(3, dim))
    features = centers[np.arange(num) % 3] + rng.normal(size=(num, dim))
    features[OUTLIER] = 3 * rng.normal(size=dim)
    return features.astype(np.float32)


def by_backbone(*features: np.ndarray) -> dict[str, np.ndarray]:
    """Each with a second TTA view that says nothing."""
    return {f"net{number}": np.stack([each, 0 * each], axis=1) for number, each in enumerate(features)}


def sample(row: int, label: str, split: str = "train", group: str = "") -> Sample:
    return Sample(f"{row:03}", label, "web", group or f"{row:03}", split, "" if split else "duplicate of 000")


def labelled(num: int = 120) -> Samples:
    """The classes in turn, but for SWAPPED; every tenth image is excluded."""
    labels = [SWAPPED.get(row, CLASSES[row % 3]) for row in range(num)]
    splits = ["" if row % 10 == 9 else ("train", "val", "test")[row % 3] for row in range(num)]
    return Samples.of(
        CLASSES, [sample(row, label, split) for row, (label, split) in enumerate(zip(labels, splits, strict=True))]
    )


def index(num: int = 120) -> Index:
    return Index.of(
        ImageRecord(f"{row:03}", "car", f"{row}.jpg", 9, 9, (), (Origin("web", f"{row}.jpg", "x"),))
        for row in range(num)
    )


@pytest.fixture(scope="module")
def issues() -> LabelIssues:
    return find_label_issues(by_backbone(blobs()), labelled(), settings=SETTINGS)


def members_of(issues: LabelIssues, target: int) -> np.ndarray:
    return np.flatnonzero(issues.targets == target)


def test_planted_wrong_labels_come_first_with_the_class_that_they_show(issues: LabelIssues) -> None:
    listed = list_issues(issues, labelled(), index(), fraction=0.1)
    first = {row["id"]: row for row in listed[: len(SWAPPED)]}
    assert set(first) == {f"{row:03}" for row in SWAPPED}
    for row, label in SWAPPED.items():
        issue = first[f"{row:03}"]
        assert (issue["kind"], issue["label"], issue["suggested_label"]) == ("mislabeled", label, CLASSES[row % 3])
        assert issue["self_confidence"] < 0.2
        assert (issue["rank"], issue["source"], issue["file"]) == (1, "web", f"{row}.jpg")


def test_an_image_like_none_of_its_class_is_an_outlier(issues: LabelIssues) -> None:
    n = issues.rows.tolist().index(OUTLIER)
    members = members_of(issues, OUTLIER % 3)
    assert sum(issues.outlier[members] > issues.outlier[n]) <= 2  # images of other classes may be as far
    kinds = {row["id"]: row["kind"] for row in list_issues(issues, labelled(), index(), fraction=0.1)}
    assert f"{OUTLIER:03}" in kinds
    assert "outlier" in kinds.values()


def test_the_list_is_of_its_columns_and_of_the_fraction_by_either_score(issues: LabelIssues) -> None:
    listed = list_issues(issues, labelled(), index(), fraction=0.1)
    assert {tuple(row) for row in listed} == {ISSUE_COLUMNS}
    for target, name in enumerate(CLASSES):
        size = len(members_of(issues, target))
        assert 0.1 * size <= sum(row["label"] == name for row in listed) <= 2 * (0.1 * size + 1)
    kinds = [row["kind"] for row in listed]
    assert kinds == sorted(kinds, key=("mislabeled", "outlier").index)


def test_excluded_images_are_not_judged(issues: LabelIssues) -> None:
    assert [row for row in issues.rows.tolist() if row % 10 == 9] == []
    assert len(issues.rows) == 108
    assert (issues.targets == labelled().targets[issues.rows]).all()


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


def test_the_same_features_give_the_same_scores(issues: LabelIssues) -> None:
    again = find_label_issues(by_backbone(blobs()), labelled(), settings=SETTINGS)
    names = ("probs", "mislabeled", "outlier", "rank")
    assert all(np.array_equal(getattr(issues, name), getattr(again, name)) for name in names)


def test_similarities_are_the_same_bytes_on_any_number_of_cores() -> None:
    features, numbers = np.random.default_rng(0).normal(size=(1037, 517)).astype(np.float32), np.arange(1037)
    found = []
    for num_cores in (1, 2):  # which share out the products of the last, small block
        with threadpool_limits(limits=num_cores):
            found.append(label_errors._class_similarities(features, numbers % 3, numbers, 5))
    assert np.stack(found[0]).tobytes() == np.stack(found[1]).tobytes()


def test_similarities_to_the_own_and_to_other_classes_are_those_that_a_loop_finds() -> None:
    rng = np.random.default_rng(0)
    features, targets, groups = rng.normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3, np.arange(30) // 2
    unit = features.astype(float) / np.linalg.norm(features.astype(float), axis=1, keepdims=True)
    expected = np.zeros((2, 30))
    for row in range(30):
        others = [other for other in range(30) if groups[other] != groups[row]]
        for number, is_same in enumerate((True, False)):
            cosines = [unit[row] @ unit[other] for other in others if (targets[other] == targets[row]) == is_same]
            expected[number, row] = np.mean(sorted(cosines)[-5:])
    found = label_errors._class_similarities(features, targets, groups, 5)
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-6)


def test_probs_are_means_over_three_divisions_into_folds_each_of_its_own_seed() -> None:
    features, samples = blobs(), labelled()
    rows = np.flatnonzero(samples.splits != "")
    targets, total = samples.targets[rows], np.zeros((len(rows), 3))
    for seed in (7, 8, 9):
        fold_of = stratified_group_folds(targets, np.arange(len(rows)), num_folds=SETTINGS.folds, seed=seed)
        for fold in range(SETTINGS.folds):
            out = fold_of == fold
            total[out] += probe(features[rows][~out], targets[~out], features[rows][out], num_classes=3)
    found = find_label_issues(by_backbone(features), samples, settings=replace(SETTINGS, seed=7))
    np.testing.assert_allclose(found.probs, total / 3, atol=1e-9)


def test_backbones_are_averaged(issues: LabelIssues) -> None:
    one, other = (by_backbone(blobs(seed=seed)) for seed in (0, 1))
    second = find_label_issues(other, labelled(), settings=SETTINGS)
    both = find_label_issues({**one, "other": other["net0"]}, labelled(), settings=SETTINGS)
    np.testing.assert_allclose(both.probs, (issues.probs + second.probs) / 2)


def test_outliers_are_by_the_neighbors_that_a_loop_finds(issues: LabelIssues) -> None:
    features, targets = blobs().astype(float), labelled().targets
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)

    def similarity(row: int) -> float:
        others = [
            unit[row] @ unit[other] for other in issues.rows.tolist() if other != row and targets[other] == targets[row]
        ]
        return float(np.mean(sorted(others)[-SETTINGS.num_neighbors :]))

    same_class = np.array([similarity(row) for row in issues.rows.tolist()])
    for target in range(3):
        members = members_of(issues, target)
        expected = [np.mean(same_class[members] > same_class[n]) for n in members]
        np.testing.assert_allclose(issues.outlier[members], expected, atol=1e-6)


def test_ranks_alternate_between_both_scores(issues: LabelIssues) -> None:
    for target in range(3):
        members = members_of(issues, target).tolist()
        assert sorted(issues.rank[members].tolist()) == list(range(1, len(members) + 1))
        for score in (issues.mislabeled, issues.outlier):
            best = sorted(members, key=lambda n: -score[n])[:5]
            assert all(issues.rank[n] <= 2 * place for place, n in enumerate(best, start=1))


def test_no_probe_has_seen_a_near_duplicate_in_the_same_group() -> None:
    features, samples = blobs(), labelled()
    features[6] = features[3]  # the same image with its right class, in the same group as the wrong one
    groups = samples.groups.copy()
    groups[[3, 6]] = "group"
    splits = samples.splits.copy()
    splits[[3, 6]] = "train"
    found = find_label_issues(by_backbone(features), replace(samples, groups=groups, splits=splits), settings=SETTINGS)
    n = found.rows.tolist().index(3)
    assert found.probs[n].argmax() == CLASSES.index("car")
    assert found.rank[n] == 1


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


def test_a_label_is_doubted_by_its_neighbors_and_to_three_twentieths_by_the_probe(issues: LabelIssues) -> None:
    features, targets = blobs()[issues.rows].astype(float), issues.targets
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit @ unit.T - 9 * np.eye(len(unit))

    def mean_of_nearest(n: int, is_candidate: np.ndarray) -> float:
        return float(np.sort(cosines[n][is_candidate])[-SETTINGS.num_neighbors :].mean())

    margin = np.array(
        [mean_of_nearest(n, targets != own) - mean_of_nearest(n, targets == own) for n, own in enumerate(targets)]
    )
    for target in range(3):
        members = members_of(issues, target)
        doubt = 1 - issues.self_confidence[members]
        by_neighbors, by_probe = ((values[:, None] > values[None]).mean(axis=1) for values in (margin[members], doubt))
        np.testing.assert_allclose(issues.mislabeled[members], 0.85 * by_neighbors + 0.15 * by_probe, atol=1e-9)


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
