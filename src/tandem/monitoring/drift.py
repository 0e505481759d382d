"""Drift: whether new images are still like the training data, by what they look like, show, and are predicted to be.

Properties and features are held against the train images, which models learned from. Predicted classes are held against
the predictions of the same model for the test images, since those of its own train images would be too sure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.errors import DataError
from tandem.monitoring.two_sample import PermutationTest, TwoSamples, chi_square_test, holm, ks_test, mmd_test

PROPERTIES = ("brightness", "blur", "entropy", "aspect_ratio", "min_side_px")
_FEATURES, _CLASSES = "features", "predicted_classes"
_NUM_TESTS = len(PROPERTIES) + 2
_RESOLUTION = 10  # permutations that would have to be as extreme for a p value at the limit, or a few more
_MIN_PERMUTATIONS = 2000

_Summary = float | Mapping[str, float] | None


@dataclass(frozen=True, eq=False)
class ImageTable:
    """What is compared of n images. groups: (n,), the group of each. properties: (n,) for each of PROPERTIES.

    features: (n, D). aspect_ratio: width by height, so that an image that was turned has another one.
    """

    groups: np.ndarray
    properties: Mapping[str, np.ndarray]
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, eq=False)
class PredictedClasses:
    """The class that a model predicts of each of n images, (n,) int64, and their groups (n,)."""

    groups: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class DriftTest:
    """What was compared, and how far it differs.

    effect: the distance of Kolmogorov and Smirnov for a property, the MMD for features, the total variation distance
    for classes. reference, new: the median of a property, the fraction of each class, None for features.
    """

    name: str
    effect: float
    p_value: float
    adjusted_p_value: float
    reference: _Summary
    new: _Summary
    is_drift: bool


def image_properties(
    quality: Iterable[tuple[float, float, float]], widths: np.ndarray, heights: np.ndarray
) -> dict[str, np.ndarray]:
    """PROPERTIES of n images. quality: blur, brightness and entropy of each; widths, heights: (n,) px."""
    blur, brightness, entropy = np.array(list(quality), dtype=np.float64).reshape(-1, 3).T
    values = (brightness, blur, entropy, widths / heights, np.minimum(widths, heights).astype(np.float64))
    return dict(zip(PROPERTIES, values, strict=True))


def find_drift(
    reference: ImageTable,
    new: ImageTable,
    *,
    predicted: tuple[PredictedClasses, PredictedClasses],
    class_names: Sequence[str],
    alpha: float,
    seed: int,
) -> list[DriftTest]:
    """A test of each property, of the features and of the predicted classes, corrected for one another.

    predicted: of reference images and of new ones. alpha: how probable it may be that any of the tests finds drift
    where there is none. Raises DataError for so few groups that no difference, however large, could be found.
    """
    num_permutations = max(_MIN_PERMUTATIONS, int(np.ceil(_RESOLUTION * _NUM_TESTS / alpha)))
    samples = TwoSamples.of(reference.groups, new.groups)
    of_classes = TwoSamples.of(predicted[0].groups, predicted[1].groups)
    for each in (samples, of_classes):
        _require_enough(each, num_permutations=num_permutations, alpha=alpha)
    options = {"num_permutations": num_permutations, "seed": seed}
    found = {
        name: ks_test(np.concatenate([reference.properties[name], new.properties[name]]), samples, **options)
        for name in PROPERTIES
    }
    found[_FEATURES] = mmd_test(np.concatenate([reference.features, new.features]), samples, **options)
    classes = np.concatenate([each.classes for each in predicted])
    found[_CLASSES] = chi_square_test(classes, of_classes, num_classes=len(class_names), **options)
    described: dict[str, tuple[_Summary, _Summary]] = {
        name: (_median(reference, name), _median(new, name)) for name in PROPERTIES
    }
    described[_CLASSES] = _fractions(predicted[0], class_names), _fractions(predicted[1], class_names)
    return _corrected(found, described, alpha=alpha)


def drift_in_words(tests: Sequence[DriftTest], *, alpha: float) -> str:
    """The verdict."""
    found = [test.name.replace("_", " ") for test in tests if test.is_drift]
    of = f"at alpha {alpha:g}, corrected for {len(tests)} tests"
    return f"drift found in {', '.join(found)} ({of})" if found else f"no drift found ({of})"


def _require_enough(samples: TwoSamples, *, num_permutations: int, alpha: float) -> None:
    num_reference, num_new = samples.num_first, samples.num_groups - samples.num_first
    smallest = samples.smallest_p_value(num_permutations)
    if min(num_reference, num_new) < 2 or smallest * _NUM_TESTS > alpha:
        raise DataError(
            f"{num_new} new images that are no near duplicates, beside {num_reference} of the project, are too few to "
            f"find drift at alpha {alpha:g}; add images, or take a larger --alpha"
        )


def _corrected(
    found: Mapping[str, PermutationTest], described: Mapping[str, tuple[_Summary, _Summary]], *, alpha: float
) -> list[DriftTest]:
    adjusted = holm([test.p_value for test in found.values()])
    return [
        DriftTest(name, test.effect, test.p_value, p_value, *described.get(name, (None, None)), p_value <= alpha)
        for (name, test), p_value in zip(found.items(), adjusted, strict=True)
    ]


def _median(table: ImageTable, name: str) -> float:
    return float(np.median(table.properties[name]))


def _fractions(predicted: PredictedClasses, class_names: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(predicted.classes, minlength=len(class_names)) / len(predicted.classes)
    return dict(zip(class_names, counts.tolist(), strict=True))
