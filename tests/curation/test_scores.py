"""Wrong labels planted among blobs of features, and each part against a second implementation."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from factories import CLASSES
from planted_labels import OUTLIER, SETTINGS, SWAPPED, blobs, by_backbone, labelled, members_of, sample
from tandem.curation.label_errors.noise import PoolSettings
from tandem.curation.label_errors.scores import Evidence, LabelIssues, find_label_issues, fraction_lower
from tandem.tables.samples import Samples


@pytest.fixture(scope="module")
def issues() -> LabelIssues:
    return find_label_issues(by_backbone(blobs()), labelled(), settings=SETTINGS)


def test_excluded_images_are_not_judged(issues: LabelIssues) -> None:
    assert [row for row in issues.rows.tolist() if row % 10 == 9] == []
    assert len(issues.rows) == 108
    assert (issues.targets == labelled().targets[issues.rows]).all()


def test_the_same_features_give_the_same_scores(issues: LabelIssues) -> None:
    again = find_label_issues(by_backbone(blobs()), labelled(), settings=SETTINGS)
    names = ("probs", "mislabeled", "outlier", "rank")
    assert all(np.array_equal(getattr(issues, name), getattr(again, name)) for name in names)


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


def test_wrong_labels_have_the_highest_scores_of_all_images(issues: LabelIssues) -> None:
    first = np.argsort(-issues.mislabeled)[: len(SWAPPED)]
    assert set(issues.rows[first].tolist()) == set(SWAPPED)
    assert issues.mislabeled.max() == pytest.approx(1 - 1 / len(issues.rows))


def test_scores_of_mislabeled_are_comparable_across_classes() -> None:
    """With wrong labels in one class alone, they stand before all images of the others."""
    numbers = np.arange(120)
    labels = ["truck" if row in (3, 9, 15, 21, 27) else CLASSES[row % 3] for row in numbers]  # of cars
    samples = Samples.of(CLASSES, [sample(row, label) for row, label in enumerate(labels)])
    found = find_label_issues(by_backbone(blobs()), samples, settings=SETTINGS)
    assert set(np.argsort(-found.mislabeled)[:5].tolist()) == {3, 9, 15, 21, 27}


def test_probs_are_of_the_class_that_an_image_shows(issues: LabelIssues) -> None:
    shown = issues.rows % 3
    is_planted = np.isin(issues.rows, [*SWAPPED, OUTLIER])
    np.testing.assert_allclose(issues.probs.sum(axis=1), 1)
    assert (issues.probs.argmax(axis=1) == shown)[~is_planted].mean() > 0.98
    assert (issues.self_confidence[np.isin(issues.rows, list(SWAPPED))] < 0.2).all()


def test_two_backbones_find_what_neither_finds_alone() -> None:
    """Each sees the classes in half of the images and noise in the others; half of the wrong labels lie in either."""
    rng = np.random.default_rng(0)
    numbers, features = np.arange(240), blobs(240)
    noise = rng.normal(size=features.shape).astype(np.float32) * features.std(axis=0) + features.mean(axis=0)
    one, other = (np.where((numbers // 3 % 2 == half)[:, None], features, noise) for half in (0, 1))
    swapped = rng.choice(240, 12, replace=False)
    labels = [CLASSES[(row + (row in swapped)) % 3] for row in numbers]
    samples = Samples.of(CLASSES, [sample(row, label) for row, label in enumerate(labels)])

    def num_found(*backbones: np.ndarray) -> int:
        scores = find_label_issues(by_backbone(*backbones), samples, settings=SETTINGS).mislabeled
        return len(set(np.argsort(-scores)[:12].tolist()) & set(swapped.tolist()))

    assert num_found(one, other) > max(num_found(one), num_found(other))


def test_the_neighbors_weigh_nothing_where_they_know_less() -> None:
    """Classes differ along the axis of the smallest values: a regression finds it, similarity does not."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 400)
    features = rng.normal(size=(400, 60)).astype(np.float32)
    features[:, 0] += 5 * targets
    evidence = Evidence.of([features * np.where(np.arange(60) == 0, 1, 8)], np.arange(400))
    opinions = evidence.ask(targets, num_classes=2, num_neighbors=5)
    alone = evidence.weigh(opinions, PoolSettings(neighbor_weights=(0.0,)))
    both = evidence.weigh(opinions, PoolSettings(neighbor_weights=(0.0, 0.99)))
    forced = evidence.weigh(opinions, PoolSettings(neighbor_weights=(0.99,)))
    np.testing.assert_array_equal(both.log_odds, alone.log_odds)
    assert not np.array_equal(forced.log_odds, alone.log_odds)


def test_the_probe_is_fitted_again_without_believing_wrong_labels() -> None:
    """A fifth of the cars are labeled trucks: fitted again, the probe finds more of them."""
    rng = np.random.default_rng(0)
    features = np.concatenate([blobs(300, dim=8)]) + 2.5 * rng.normal(size=(300, 8)).astype(np.float32)
    shown = np.arange(300) % 3
    is_wrong = (shown == 0) & (rng.random(300) < 0.4)
    evidence = Evidence.of([features], np.arange(300))
    opinions = evidence.ask(np.where(is_wrong, 2, shown), num_classes=3, num_neighbors=5)
    precision = [
        average_precision_score(is_wrong, evidence.weigh(opinions, PoolSettings(refit=refit)).log_odds)
        for refit in (0.0, 1.0)
    ]
    assert precision[0] < precision[1]


def test_a_fraction_that_is_lower_is_counted_within_the_class() -> None:
    found = fraction_lower(np.array([3.0, 1.0, 2.0, 5.0, 5.0]), np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(found, [2 / 3, 0, 1 / 3, 0, 0])
