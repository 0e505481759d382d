"""What changed between two planted versions of the data, and of the scores of their models."""

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.evaluation.bootstrap import paired_difference
from tandem.evaluation.metrics import predict
from tandem.reporting.changes import (
    CHANGE_KINDS,
    DataVersion,
    GroupChange,
    ImageChange,
    ScoredModel,
    changes_between,
    score_change,
)
from tandem.tables.index import Excluded, ImageRecord, Index, Origin
from tandem.tables.samples import Sample, Samples

CLASSES = ("car", "truck")
# id: label, source, group, split, exclusion reason
THEN = {
    "a": ("car", "web", "g1", "train", ""),
    "b": ("car", "web", "g2", "train", ""),
    "c": ("truck", "web", "g3", "val", ""),
    "d": ("truck", "shop", "g4", "test", ""),
    "e": ("car", "shop", "g5", "test", ""),
    "f": ("car", "shop", "g5", "", "duplicate of e"),
    "g": ("truck", "shop", "g6", "train", ""),
}


def version(rows, excluded=(), classes=CLASSES):
    records = [
        ImageRecord(id_, label, f"{id_}.png", 9, 9, (), (Origin(source, f"{id_}.jpg", label),))
        for id_, (label, source, *_) in sorted(rows.items())
    ]
    samples = Samples.of(classes, (Sample(id_, *row) for id_, row in sorted(rows.items())))
    return DataVersion(Index.of(records), samples, excluded)


def test_a_version_without_a_change_has_none():
    found = changes_between(version(THEN), version(THEN))
    assert found.images == found.merged == found.split == ()
    assert found.counts() == dict.fromkeys(CHANGE_KINDS, 0)
    assert found.counts_by_source() == {}


def test_every_kind_of_change_is_found_with_what_was_and_what_is():
    now = {id_: row for id_, row in THEN.items() if id_ not in ("g", "c")} | {
        "a": ("truck", "web", "g1", "train", ""),
        "b": ("car", "web", "g2", "test", ""),
        "e": ("car", "shop", "g5", "", "duplicate of f"),
        "f": ("car", "shop", "g5", "test", ""),
        "h": ("truck", "web", "g7", "val", ""),
    }
    excluded = [Excluded("shop", "g.jpg", "truck", "truncated", ""), Excluded("web", "z.jpg", "x", "ignored_label", "")]
    found = changes_between(version(THEN), version(now, excluded))
    assert found.images == (
        ImageChange("added", "h", "web", "h.jpg", "", "truck"),
        ImageChange("removed", "c", "web", "c.jpg", "truck", ""),
        ImageChange("removed", "g", "shop", "g.jpg", "truck", "truncated"),
        ImageChange("relabelled", "a", "web", "a.jpg", "car", "truck"),
        ImageChange("moved", "b", "web", "b.jpg", "train", "test"),
        ImageChange("excluded", "", "web", "z.jpg", "", "ignored_label"),
        ImageChange("excluded", "e", "shop", "e.jpg", "test", "duplicate of f"),
        ImageChange("used_again", "f", "shop", "f.jpg", "duplicate of e", "test"),
    )
    assert found.counts() == {
        "added": 1,
        "removed": 2,
        "relabelled": 1,
        "moved": 1,
        "excluded": 2,
        "used_again": 1,
    }
    by_source = found.counts_by_source()
    assert list(by_source) == ["shop", "web"]
    assert {kind: sum(each[kind] for each in by_source.values()) for kind in CHANGE_KINDS} == found.counts()


def test_files_that_were_excluded_before_are_no_change():
    excluded = [Excluded("web", "z.jpg", "x", "ignored_label", "")]
    assert changes_between(version(THEN, excluded), version(THEN, excluded)).images == ()


def test_groups_that_are_one_now_and_those_that_are_several_are_found_by_their_images_not_by_their_names():
    now = {id_: (row[0], row[1], f"new{row[2]}", *row[3:]) for id_, row in THEN.items()}
    assert changes_between(version(THEN), version(now)).merged == ()
    now["b"] = ("car", "web", "newg1", "train", "")
    now["f"] = ("car", "shop", "newg9", "test", "")
    found = changes_between(version(THEN), version(now))
    assert found.merged == (GroupChange("newg1", ("g1", "g2")),)
    assert found.split == (GroupChange("g5", ("newg5", "newg9")),)


def test_samples_of_other_images_than_the_index_are_refused():
    one, other = version(THEN), version({"a": THEN["a"]})
    with pytest.raises(DataError, match="the images that were curated are others than those that were merged"):
        DataVersion(one.index, other.samples)


def many(num_test, *, first=0):
    rows = {f"{number:03}": (CLASSES[number % 2], "web", f"g{number}", "test", "") for number in range(first, num_test)}
    return rows | {f"x{number}": (CLASSES[number % 2], "web", f"x{number}", "train", "") for number in range(4)}


def model(rows, seed, classes=CLASSES, name="mean"):
    samples = version(rows, classes=classes).samples
    logits = np.random.default_rng(seed).normal(size=(len(samples), len(classes))).astype(np.float32)
    return ScoredModel(name, samples, logits)


def test_on_the_same_test_images_the_difference_is_that_of_the_bootstrap_over_groups():
    then, now = model(many(60), 0), model(many(60), 1, name="stack")
    found = score_change(then, now, num_resamples=200, seed=3)
    test = now.samples.test
    expected = paired_difference(
        predict(now.logits[test.rows], test.targets),
        predict(then.logits[test.rows], test.targets),
        test.groups,
        num_resamples=200,
        seed=3,
    )
    assert found.has_same_test
    assert found.models == ("mean", "stack")
    assert found.paired == expected
    assert found.paired["top1_accuracy"].value == pytest.approx(
        found.after["top1_accuracy"].value - found.before["top1_accuracy"].value
    )


def test_where_the_test_images_differ_the_common_ones_are_paired_and_each_own_set_has_its_interval():
    then, now = model(many(60), 0), model(many(80, first=20), 1)
    found = score_change(then, now, num_resamples=200, seed=3)
    assert (found.common, found.images_before, found.images_after, found.has_same_test) == (40, 60, 60, False)
    accuracy = found.before["top1_accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high
    on_common = [each["top1_accuracy"].value for each in found.on_common]
    assert found.paired["top1_accuracy"].value == pytest.approx(on_common[1] - on_common[0])


def test_versions_without_a_common_test_image_are_not_paired():
    found = score_change(model(many(20), 0), model(many(40, first=20), 1), num_resamples=100, seed=0)
    assert (found.common, found.paired) == (0, {})
    assert np.isnan(found.on_common[0]["top1_accuracy"].value)


def test_a_class_that_is_new_is_in_no_pair_and_other_classes_keep_theirs():
    rows = many(40)
    now_rows = rows | {"000": ("bus", "web", "g0", "test", "")}
    then = model(rows, 0)
    swapped = model(now_rows, 0, classes=("bus", "truck", "car"))
    logits = np.full((len(swapped.samples), 3), -50, np.float32)
    logits[:, 2], logits[:, 1] = then.logits[:, 0], then.logits[:, 1]
    found = score_change(then, ScoredModel("mean", swapped.samples, logits), num_resamples=100, seed=0)
    assert found.common == 39
    assert found.paired["top1_accuracy"].value == 0
    assert found.paired["log_loss"].value == pytest.approx(0, abs=1e-6)
