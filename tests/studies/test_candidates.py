"""Backbones are ranked by probes that have not seen the group of an image, and never by test."""

from dataclasses import replace

import numpy as np
import pytest

from factories import evaluate_settings, train_settings
from tandem.studies.candidates import best_second, rank_backbones
from tandem.tables.samples import Sample, Samples

CLASS_NAMES = ("car", "motorcycle", "truck", "van")
NUM_IMAGES = 480
TARGETS = np.arange(NUM_IMAGES) % 4
RNG = np.random.default_rng(0)


def samples_of(groups):
    """Blocks of sixteen images, four of each class: of ten blocks seven are in train, one is in val, two in test."""
    splits = np.array(["train"] * 7 + ["val"] + ["test"] * 2)[np.arange(NUM_IMAGES) // 16 % 10]
    rows = zip(TARGETS, groups, splits, strict=True)
    return Samples.of(
        CLASS_NAMES,
        (
            Sample(f"{n:032x}", CLASS_NAMES[target], "web", f"{group:032x}", str(split))
            for n, (target, group, split) in enumerate(rows)
        ),
    )


SAMPLES = samples_of(np.arange(NUM_IMAGES))


def noisy(values, scale):
    return (values + RNG.normal(0, scale, values.shape)).astype(np.float32)


FEATURES = {
    "noise": noisy(np.zeros((NUM_IMAGES, 6)), 1),
    "kind": noisy(np.eye(4)[TARGETS // 2 * 2], 0.2),  # of two pairs of classes, which one
    "which": noisy(np.eye(4)[TARGETS % 2], 0.2),  # of a pair, which class
    "good": noisy(np.eye(4)[TARGETS], 0.45),
}


def rank(features, samples=SAMPLES):
    evaluate = evaluate_settings(num_resamples=300)
    return rank_backbones(features, samples, train=train_settings(folds=5), evaluate=evaluate)


def test_the_best_comes_first_with_an_interval_around_its_accuracy():
    ranked = rank(FEATURES)
    names = [each.name for each in ranked]
    assert (names[0], names[-1]) == ("good", "noise")
    by_name = {each.name: each for each in ranked}
    for each in ranked:
        assert each.top1_accuracy.low < each.top1_accuracy.value < each.top1_accuracy.high
    assert by_name["noise"].top1_accuracy.value == pytest.approx(0.25, abs=0.08)
    assert by_name["kind"].top1_accuracy.value == pytest.approx(0.5, abs=0.08)
    assert by_name["good"].log_loss < by_name["kind"].log_loss < by_name["noise"].log_loss


def test_what_knows_something_else_adds_most_and_the_same_once_more_adds_nothing():
    parts = {name: FEATURES[name] for name in ("kind", "which", "noise")}
    first = rank(parts)[0].name
    assert first in ("kind", "which")
    best, *others = rank({**parts, "again": parts[first]})
    gains = {each.name: each.gain for each in others}
    assert (best.name, best.gain) == (first, None)
    (partner,) = {"kind", "which"} - {first}
    assert gains[partner].low > 0.2
    assert abs(gains["noise"].value) < 0.1
    assert gains["again"].value == 0


def test_images_of_one_group_do_not_vouch_for_one_another():
    groups = np.arange(NUM_IMAGES) // 16 * 4 + TARGETS  # four images each, of one class
    of_group = np.random.default_rng(1).normal(0, 1, (NUM_IMAGES, 60)).astype(np.float32)[groups]
    alone, together = (rank({"memory": of_group}, samples_of(each))[0] for each in (np.arange(NUM_IMAGES), groups))
    assert alone.top1_accuracy.value > 0.6  # copies in other folds give it away
    assert together.top1_accuracy.value < 0.4


def test_images_of_test_are_not_looked_at():
    changed = FEATURES["good"].copy()
    changed[SAMPLES.test.rows] = 0
    assert rank({"good": changed}) == rank({"good": FEATURES["good"]})
    assert rank({"good": changed[:, None]}) == rank({"good": changed})


def test_the_projects_own_head_and_layers_change_nothing():
    others = replace(train_settings(folds=5), head="mlp", trainable_backbone_layers=3)
    evaluate = evaluate_settings(num_resamples=300)
    assert rank_backbones(FEATURES, SAMPLES, train=others, evaluate=evaluate) == rank(FEATURES)


def test_the_best_second_is_the_one_that_adds_most_and_none_where_none_adds():
    ranked = rank({name: FEATURES[name] for name in ("kind", "which", "noise")})
    found = best_second(ranked)
    assert {ranked[0].name, found.name} == {"kind", "which"}
    assert found.gain.value == max(each.gain.value for each in ranked[1:]) > 0.2
    assert best_second(rank({"good": FEATURES["good"], "noise": FEATURES["noise"]})) is None
    assert best_second(ranked[:1]) is None
