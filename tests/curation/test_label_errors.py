"""Wrong labels planted among blobs of feature rows, and each part against a second implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tandem.curation.label_errors import (
    ISSUE_COLUMNS,
    Settings,
    find_label_issues,
    folds,
    label_error_summary,
    list_issues,
)
from tandem.curation.probe import probe
from tandem.tables.index import ImageRecord, Origin
from tandem.tables.samples import Sample, Samples

CLASSES = ("car", "motorcycle", "truck")
SETTINGS = Settings(folds=5, neighbors=5, share=0.1, seed=0)
SWAPPED = {3: "truck", 70: "car", 101: "motorcycle"}  # row -> the label that it was given
ODD = 50


def blobs(num=120, dim=32, seed=0):
    """(num, dim) rows around three centers, in turn; those of ODD lie elsewhere."""
    rng = np.random.default_rng(seed)
    centers = 3 * rng.normal(size=(3, dim))
    x = centers[np.arange(num) % 3] + rng.normal(size=(num, dim))
    x[ODD] = 3 * rng.normal(size=dim)
    return x.astype(np.float32)


def labelled(num=120):
    labels = [SWAPPED.get(row, CLASSES[row % 3]) for row in range(num)]
    splits = ["" if row % 10 == 9 else ("train", "val", "test")[row % 3] for row in range(num)]
    return Samples.of(
        CLASSES,
        tuple(
            Sample(f"{row:03}", label, "web", f"{row:03}", split, "" if split else "copy of 000")
            for row, (label, split) in enumerate(zip(labels, splits, strict=True))
        ),
    )


def records(num=120):
    return [
        ImageRecord(f"{row:03}", "car", f"{row}.jpg", 9, 9, (), (Origin("web", f"{row}.jpg", "x"),))
        for row in range(num)
    ]


@pytest.fixture(scope="module")
def found():
    return find_label_issues([blobs()], labelled(), settings=SETTINGS)


def test_planted_wrong_labels_come_first_with_the_class_that_they_show(found):
    rows = list_issues(found, labelled(), records(), share=0.1)
    first = {row["id"]: row for row in rows[: len(SWAPPED)]}
    assert set(first) == {f"{row:03}" for row in SWAPPED}
    for row, label in SWAPPED.items():
        told = first[f"{row:03}"]
        assert (told["kind"], told["label"], told["suggested"]) == ("other_class", label, CLASSES[row % 3])
        assert told["self_confidence"] < 0.2
        assert (told["rank"], told["source"], told["file"]) == (1, "web", f"{row}.jpg")


def test_a_image_like_none_of_its_class_is_odd(found):
    n = found.rows.tolist().index(ODD)
    members = [m for m, row in enumerate(found.rows.tolist()) if labelled().samples[row].label == CLASSES[ODD % 3]]
    assert sum(found.odd[members] > found.odd[n]) <= 2  # images of other classes may be as odd
    told = {row["id"]: row["kind"] for row in list_issues(found, labelled(), records(), share=0.1)}
    assert f"{ODD:03}" in told
    assert "odd" in told.values()


def test_the_list_is_of_its_columns_and_of_the_share(found):
    rows = list_issues(found, labelled(), records(), share=0.1)
    assert {tuple(row) for row in rows} == {ISSUE_COLUMNS}
    for name in CLASSES:
        size = sum(sample.label == name and sample.split != "" for sample in labelled().samples)
        assert 0.1 * size <= sum(row["label"] == name for row in rows) <= 2 * (0.1 * size + 1)
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds, key=("other_class", "odd").index)


def test_images_that_are_left_out_are_not_judged(found):
    assert [row for row in found.rows.tolist() if row % 10 == 9] == []
    assert len(found.rows) == 108


def test_the_metrics_count_what_is_likely_wrong(found):
    rows = list_issues(found, labelled(), records(), share=0.1)
    told = label_error_summary(found, labelled(), rows)
    assert told["suspects"] == len(rows) == sum(entry["suspects"] for entry in told["classes"].values())
    assert sum(entry["images"] for entry in told["classes"].values()) == 108
    assert sum(entry["likely_wrong"] for entry in told["classes"].values()) == pytest.approx(len(SWAPPED), abs=1)
    assert told["out_of_fold_top1_accuracy"] == pytest.approx(105 / 108, abs=0.02)


def test_the_order_of_the_images_does_not_matter_where_folds_do_not(found):
    again = find_label_issues([blobs()], labelled(), settings=SETTINGS)
    assert all(np.array_equal(getattr(found, name), getattr(again, name)) for name in ("probs", "odd", "rank"))


def test_neighbors_are_those_of_a_loop(found):
    x, samples = blobs().astype(float), labelled().samples
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)

    def nearest(row, is_own):
        others = [
            unit[row] @ unit[other]
            for other in found.rows.tolist()
            if other != row and (samples[other].label == samples[row].label) == is_own
        ]
        return np.mean(sorted(others)[-5:])

    own = {row: nearest(row, True) for row in found.rows.tolist()}
    for name in CLASSES:
        members = [n for n, row in enumerate(found.rows.tolist()) if samples[row].label == name]
        expected = [np.mean([own[found.rows[m]] > own[found.rows[n]] for m in members]) for n in members]
        np.testing.assert_allclose(found.odd[members], expected, atol=1e-6)


def test_ranks_deal_both_scores_in_turn(found):
    samples = labelled().samples
    for name in CLASSES:
        members = [n for n, row in enumerate(found.rows.tolist()) if samples[row].label == name]
        assert sorted(found.rank[members].tolist()) == list(range(1, len(members) + 1))
        for score in (found.other_class, found.odd):
            best = sorted(members, key=lambda n: -score[n])[:5]
            assert all(found.rank[n] <= 2 * place for place, n in enumerate(best, start=1))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 15)), min_size=1, max_size=60),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_no_group_lies_in_two_folds_and_classes_are_dealt_evenly(rows, num_folds, seed):
    targets, groups = (np.array(part) for part in zip(*rows, strict=True))
    fold_of = folds(targets, groups, num_folds=num_folds, seed=seed)
    assert all(len(set(fold_of[groups == group].tolist())) == 1 for group in groups)
    first = {group: target for target, group in reversed(rows)}
    for target in range(3):
        dealt = [int(fold_of[groups == group][0]) for group in sorted(first) if first[group] == target]
        counts = np.bincount(dealt, minlength=num_folds)
        assert counts.max() - counts.min() <= 1


def test_copies_across_groups_hide_nothing_and_in_one_group_no_probe_sees_them():
    x, samples = blobs(), labelled()
    x[6] = x[3]  # the same image with its right class, in the same group as the wrong one
    grouped = [*samples.samples]
    grouped[3] = Sample("003", "truck", "web", "group", "train")
    grouped[6] = Sample("006", "car", "web", "group", "train")
    found = find_label_issues([x], Samples.of(CLASSES, tuple(grouped)), settings=SETTINGS)
    n = found.rows.tolist().index(3)
    assert found.probs[n].argmax() == CLASSES.index("car")
    assert found.rank[n] == 1


def test_a_class_of_one_group_alone_is_judged_without_an_error():
    x = blobs(num=60)
    samples = [
        Sample(f"{row:03}", "truck" if row < 2 else "car", "web", "one" if row < 2 else f"{row}", "train")
        for row in range(60)
    ]
    found = find_label_issues([x], Samples.of(("car", "truck", "none"), tuple(samples)), settings=SETTINGS)
    assert np.isfinite(found.other_class).all()
    assert found.probs[0, 1] == 0
    rows = list_issues(found, Samples.of(("car", "truck", "none"), tuple(samples)), records(60), share=0.1)
    assert (
        label_error_summary(found, Samples.of(("car", "truck", "none"), tuple(samples)), rows)["classes"]["none"][
            "images"
        ]
        == 0
    )


def test_a_probe_is_scikit_learns_regression_on_standardised_rows():
    x, targets = blobs(), np.arange(120) % 3
    scaler = StandardScaler().fit(x[:90].astype(float))
    head = LogisticRegression(C=0.01, class_weight="balanced", max_iter=5000)
    head.fit(scaler.transform(x[:90].astype(float)), targets[:90])
    expected = head.predict_proba(scaler.transform(x[90:].astype(float)))
    np.testing.assert_allclose(probe(x[:90], targets[:90], x[90:], num_classes=3), expected, atol=1e-3)


def test_a_class_without_rows_gets_no_probability():
    x = blobs()
    probs = probe(x[:90], np.arange(90) % 2 * 2, x[90:], num_classes=4)
    assert probs.shape == (30, 4)
    assert (probs[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (probe(x[:9], np.full(9, 2), x[9:], num_classes=3) == [0, 0, 1]).all()
