"""What the metrics say of detectors."""

import numpy as np
import pytest

from factories import blobs, evaluate_settings
from tandem.ood.detector import fit_detectors
from tandem.ood.settings import OodSettings
from tandem.ood.summary import ood_in_words, ood_summary


def test_the_numbers_are_of_the_backbones_that_the_selected_model_reads():
    features, samples = blobs(dim=8)
    rng = np.random.default_rng(1)
    both = {"good": features, "noise": rng.normal(size=features.shape).astype(np.float32)}
    detectors = fit_detectors(both, samples.train)
    distances = {name: each.distances(both[name]) for name, each in detectors.items()}
    found = ood_summary(
        distances,
        samples,
        model="mean",
        read_by_model=["good"],
        settings=OodSettings(0.1),
        evaluate=evaluate_settings(),
    )
    scores = distances["good"].min(axis=1)
    assert found["threshold"] == np.sort(scores[samples.val.rows])[54]  # the 55th of 60: 0.9 * 61 = 54.9
    alarms = found["false_alarm_rate"]
    assert alarms["value"] == pytest.approx((scores[samples.test.rows] > found["threshold"]).mean())
    assert alarms["low"] <= alarms["value"] <= alarms["high"]
    held_out = found["leave_one_class_out"]
    assert held_out["auroc"] == held_out["backbones"]["good"]["auroc"] > 0.55
    assert held_out["backbones"]["noise"]["auroc"] == pytest.approx(0.5, abs=0.1)
    assert list(held_out["classes"]) == list(samples.class_names)
    assert ood_in_words(found) == f"{100 * alarms['value']:.1f} % of test images flagged as being of no class"
