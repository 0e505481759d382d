"""Drift that is planted is found, in what it was planted in; where there is none, alarms are as rare as alpha says."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy import stats

from planted_images import textured_image
from tandem.errors import DataError
from tandem.images.quality import measure_quality
from tandem.monitoring.drift import (
    PROPERTIES,
    ImageTable,
    PredictedClasses,
    drift_in_words,
    find_drift,
    image_properties,
)

NAMES = ("car", "truck")


def table(rng, count, *, shift=0.0):
    """Properties and features that have nothing to do with one another."""
    properties = dict(zip(PROPERTIES, rng.normal(size=(len(PROPERTIES), count)), strict=True))
    return ImageTable(np.arange(count), properties, rng.normal(size=(count, 6)) + shift)


def predicted(rng, count, trucks=0.5):
    return PredictedClasses(np.arange(count), (rng.random(count) < trucks).astype(np.int64))


def found(reference, new, classes, *, alpha=0.05):
    tests = find_drift(reference, new, predicted=classes, class_names=NAMES, alpha=alpha, seed=0)
    assert [test.name for test in tests] == [*PROPERTIES, "features", "predicted_classes"]
    return {test.name for test in tests if test.is_drift}


def test_of_samples_of_one_distribution_drift_is_found_about_as_often_as_alpha_says():
    num_found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        classes = predicted(rng, 25), predicted(rng, 20)
        num_found += bool(found(table(rng, 30), table(rng, 20), classes, alpha=0.25))
    low, high = stats.binom.ppf([0.001, 0.999], 60, 0.25)
    assert low <= num_found <= high


@pytest.mark.parametrize("name", [*PROPERTIES, "features", "predicted_classes"])
def test_drift_is_found_in_what_it_was_planted_in_and_in_nothing_else(name):
    rng = np.random.default_rng(7)
    reference, new = table(rng, 60), table(rng, 50, shift=2.0 if name == "features" else 0)
    if name in PROPERTIES:
        new = replace(new, properties={**new.properties, name: new.properties[name] + 2})
    classes = predicted(rng, 60), predicted(rng, 50, trucks=0.95 if name == "predicted_classes" else 0.5)
    assert found(reference, new, classes) == {name}


def photos(change, seeds):
    images = [change(textured_image(seed)) for seed in seeds]
    widths, heights = np.array([image.size for image in images]).T
    properties = image_properties([measure_quality(image) for image in images], widths, heights)
    return ImageTable(np.arange(len(images)), properties, np.random.default_rng(seeds[0]).normal(size=(len(images), 6)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: image, set()),
        (lambda image: ImageEnhance.Brightness(image).enhance(0.4), {"brightness", "entropy", "blur"}),
        (lambda image: image.filter(ImageFilter.GaussianBlur(3)), {"blur"}),
        (lambda image: image.transpose(Image.Transpose.ROTATE_90), {"aspect_ratio"}),
        (lambda image: image.resize((80, 60), Image.Resampling.BOX), {"min_side_px", "blur"}),
    ],
)
def test_images_that_were_changed_drift_in_the_properties_that_the_change_is_about(change, expected):
    rng = np.random.default_rng(0)
    classes = predicted(rng, 40), predicted(rng, 40)
    drifted = found(photos(lambda image: image, range(60)), photos(change, range(100, 140)), classes)
    assert bool(drifted) == bool(expected)
    assert drifted <= expected | {"entropy"}
    assert not expected or next(iter(expected - {"entropy", "blur"} or {"blur"})) in drifted


def test_a_summary_tells_both_sides():
    rng = np.random.default_rng(0)
    classes = PredictedClasses(np.arange(4), np.array([0, 0, 0, 1])), PredictedClasses(np.arange(30), np.ones(30, int))
    tests = find_drift(table(rng, 30), table(rng, 31), predicted=classes, class_names=NAMES, alpha=0.05, seed=0)
    *_, of_features, of_classes = tests
    assert (of_features.reference, of_features.new) == (None, None)
    assert (of_classes.reference, of_classes.new) == ({"car": 0.75, "truck": 0.25}, {"car": 0, "truck": 1})
    assert of_classes.effect == pytest.approx(0.75)
    assert all(test.adjusted_p_value >= test.p_value for test in tests)
    assert drift_in_words(tests, alpha=0.05) == (
        "drift found in predicted classes (at alpha 0.05, corrected for 7 tests)"
    )
    assert drift_in_words(tests[:6], alpha=0.05) == "no drift found (at alpha 0.05, corrected for 6 tests)"


def test_too_few_images_to_find_any_drift_are_an_error_and_no_all_clear():
    rng = np.random.default_rng(0)
    few = replace(table(rng, 40), groups=np.repeat([0, 1], 20))
    with pytest.raises(DataError, match="2 new images that are no near duplicates, beside 12 of the project, are too"):
        found(table(rng, 12), few, (predicted(rng, 12), predicted(rng, 12)))
    with pytest.raises(DataError, match=r"beside 3 of the project, are too few to find drift at alpha 0\.05; add"):
        found(table(rng, 40), table(rng, 5), (predicted(rng, 3), predicted(rng, 5)))
