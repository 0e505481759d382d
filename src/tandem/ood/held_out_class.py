"""Each class in turn as one that the detectors have not seen: what can be said of them without any other images.

Images of an unseen class of the same sources are near to those of the other classes, nearer than noise, or landscapes
where the classes are vehicles: it is a hard test, and says nothing of how unlike a user's other images are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from tandem.evaluation.conformal import is_ood, ood_threshold
from tandem.ood.separation import auroc, fpr_at_tpr
from tandem.tables.samples import Samples, Split


@dataclass(frozen=True)
class HeldOutClass:
    """How well images of a class that was not seen are told from test images of the others.

    flagged: the fraction of them above the threshold that validation images of the others set.
    """

    auroc: float
    fpr_at_95_tpr: float
    flagged: float


def held_out_class_scores(
    distances: Mapping[str, np.ndarray], samples: Samples, *, false_alarm_rate: float
) -> dict[str, HeldOutClass]:
    """Class -> what detectors without its mean make of it; none where there is but one class.

    distances: backbone -> (N, C), see OodDetector.distances. They are standardized by those of all classes. Images of
    the class are those of validation and test: to those of train a fine-tuned backbone was fitted.
    """
    if len(samples.class_names) == 1:
        return {}
    without = [_Without.of(each) for each in distances.values()]
    return {
        name: _held_out(np.mean([each.scores(target) for each in without], axis=0), samples, target, false_alarm_rate)
        for target, name in enumerate(samples.class_names)
    }


def mean_over_classes(classes: Mapping[str, HeldOutClass]) -> dict[str, float]:
    """The mean of each number; {} without classes."""
    names = HeldOutClass.__dataclass_fields__ if classes else ()
    return {name: fmean(getattr(each, name) for each in classes.values()) for name in names}


@dataclass(frozen=True, eq=False)
class _Without:
    """first, second: (N,) distances to the nearest class mean and to the next. nearest: (N,) of which class."""

    first: np.ndarray
    second: np.ndarray
    nearest: np.ndarray

    @classmethod
    def of(cls, distances: np.ndarray) -> "_Without":
        first, second = np.partition(distances, 1, axis=1)[:, :2].T
        return cls(first, second, distances.argmin(axis=1))

    def scores(self, target: int) -> np.ndarray:
        """(N,) distances to the nearest mean of another class than this."""
        return np.where(self.nearest == target, self.second, self.first)


def _held_out(scores: np.ndarray, samples: Samples, target: int, false_alarm_rate: float) -> HeldOutClass:
    def of(split: Split, is_wanted: bool) -> Split:
        return split.subset((split.targets == target) == is_wanted)

    val, test = (of(split, is_wanted=False) for split in (samples.val, samples.test))
    outside = np.concatenate([scores[of(split, is_wanted=True).rows] for split in (samples.val, samples.test)])
    threshold = ood_threshold(scores[val.rows], val.groups, false_alarm_rate=false_alarm_rate)
    inside = scores[test.rows]
    flagged = is_ood(outside, threshold)
    return HeldOutClass(auroc(inside, outside), fpr_at_tpr(inside, outside), float(flagged.mean()))
