"""Each class as one that was not seen: against detectors that are fitted without it."""

import numpy as np
import pytest

from factories import blobs, samples_of
from tandem.evaluation.conformal import ood_threshold
from tandem.ood.detector import fit_detector
from tandem.ood.held_out_class import HeldOutClass, held_out_class_scores, mean_over_classes
from tandem.ood.separation import auroc, fpr_at_tpr

RATE = 0.1


def test_each_class_is_scored_as_by_a_detector_without_its_mean():
    features, samples = blobs(dim=8)
    detector = fit_detector(features, samples.train)
    found = held_out_class_scores({"one": detector.distances(features)}, samples, false_alarm_rate=RATE)
    for target, name in enumerate(samples.class_names):
        kept = np.delete(detector.means, target, axis=0)
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        scores = ((1 - unit @ kept.T).min(axis=1) - detector.center) / detector.scale
        is_out = samples.targets == target
        is_held_out = np.isin(samples.splits, ("val", "test"))
        inside, outside = scores[~is_out & (samples.splits == "test")], scores[is_out & is_held_out]
        val = ~is_out & (samples.splits == "val")
        threshold = ood_threshold(scores[val], samples.groups[val], false_alarm_rate=RATE)
        assert found[name].auroc == pytest.approx(auroc(inside, outside), abs=0.01)
        assert found[name].fpr_at_95_tpr == pytest.approx(fpr_at_tpr(inside, outside), abs=0.05)
        assert found[name].flagged == pytest.approx((outside > threshold).mean(), abs=0.05)


def test_a_class_unlike_the_others_is_told_and_one_like_another_is_not():
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    features = (np.eye(3)[[0, 0, 2]][targets] + 0.1 * rng.normal(size=(120, 3))).astype(np.float32)
    splits = [("train", "val", "test")[row // 3 % 3] for row in range(120)]
    samples = samples_of(targets.tolist(), splits)
    distances = fit_detector(features, samples.train).distances(features)
    found = held_out_class_scores({"one": distances, "two": distances}, samples, false_alarm_rate=RATE)
    assert found["truck"].auroc > 0.99
    assert found["truck"].flagged > 0.9
    assert 0.3 < found["car"].auroc < 0.7


def test_of_one_class_nothing_is_known():
    samples = samples_of([0, 0, 0], ["train", "val", "test"], class_names=["car"])
    assert held_out_class_scores({"one": np.zeros((3, 1))}, samples, false_alarm_rate=RATE) == {}
    assert mean_over_classes({}) == {}


def test_the_mean_is_over_classes():
    classes = {"car": HeldOutClass(0.8, 0.4, 0.2), "truck": HeldOutClass(0.9, 0.2, 0.4)}
    expected = {"auroc": pytest.approx(0.85), "fpr_at_95_tpr": pytest.approx(0.3), "flagged": pytest.approx(0.3)}
    assert mean_over_classes(classes) == expected
