"""How likely the label of each image is wrong.

A label can be wrong in two ways. Mislabeled: the image shows another class. A linear probe that has seen neither it
nor its group, and its nearest neighbors, say which class the image shows, and all labels together how often one class
stands where another is shown (noise.py). Then the probe is fitted once more, half to what each image is likely to
show instead of its label, so that wrong labels speak less for each other. Outlier: the image shows none of the classes,
and is far from all images of its own. Each way is a score in [0, 1), the fraction of images that score lower: of all
images for mislabeled, whose scores are comparable across classes, of its class for outlier. The two lists are merged
alternately into one rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.curation.label_errors.neighbors import class_similarities
from tandem.curation.label_errors.noise import PoolSettings, even_noise, label_posterior, pooled_log_probs
from tandem.curation.label_errors.ridge import LeaveGroupOutRidge
from tandem.curation.settings import LabelErrorSettings
from tandem.tables.samples import Samples


@dataclass(frozen=True)
class LabelIssues:
    """Of the n images that are used; rows (n,): where they stand in the samples. targets: (n,) class indices.

    probs: (n, C) of the classes, by images of other groups. mislabeled, outlier: (n,) scores in [0, 1). rank: (n,) from
    1 within the class.
    """

    rows: np.ndarray
    targets: np.ndarray
    probs: np.ndarray
    mislabeled: np.ndarray
    outlier: np.ndarray
    rank: np.ndarray

    @property
    def self_confidence(self) -> np.ndarray:
        """(n,) probability of the image's own label."""
        return self.probs[np.arange(len(self.targets)), self.targets]


def find_label_issues(
    features: Mapping[str, np.ndarray], samples: Samples, *, settings: LabelErrorSettings
) -> LabelIssues:
    """Scores of all images that are used.

    features: backbone -> (N, k, D), of whose TTA views the first counts, in the order of samples.
    """
    rows = np.flatnonzero(samples.splits != "")
    targets = samples.targets[rows]
    groups = np.unique(samples.groups[rows], return_inverse=True)[1]
    evidence = Evidence.of([tta_views[rows, 0] for tta_views in features.values()], groups)
    found = evidence.judge(targets, num_classes=len(samples.class_names), num_neighbors=settings.num_neighbors)
    mislabeled = fraction_lower(found.log_odds, np.zeros_like(targets))
    outlier = fraction_lower(-found.own_class, targets)
    return LabelIssues(rows, targets, found.probs, mislabeled, outlier, _ranks(mislabeled, outlier, targets))


@dataclass(frozen=True)
class Judgement:
    """Of n labels. probs: (n, C) of the classes, by images of other groups with the labels as they are.

    log_odds: (n,) that the label is wrong. own_class: (n,) mean cosine to the nearest of the class of the label.
    """

    probs: np.ndarray
    log_odds: np.ndarray
    own_class: np.ndarray


@dataclass(frozen=True)
class Opinions:
    """Of n images, by those of other groups. targets: (n,) the labels. penalties: of the probe of each backbone.

    probe, neighbors: (n, C) logits of any scale. own_class: (n,) mean cosine to the nearest of the class of the label.
    """

    targets: np.ndarray
    penalties: tuple[float, ...]
    probe: np.ndarray
    neighbors: np.ndarray
    own_class: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """Features of n images by any number of backbones, (n, D) each, and probes that take any labels."""

    features: tuple[np.ndarray, ...]
    groups: np.ndarray
    probes: tuple[LeaveGroupOutRidge, ...]

    @classmethod
    def of(cls, features: Sequence[np.ndarray], groups: np.ndarray) -> "Evidence":
        """groups: (n,); no image is judged by those of its group."""
        used = tuple(np.ascontiguousarray(each, dtype=np.float32) for each in features)
        return cls(used, groups, tuple(LeaveGroupOutRidge(each, groups) for each in used))

    def judge(self, targets: np.ndarray, *, num_classes: int, num_neighbors: int) -> Judgement:
        """targets: (n,) class indices below num_classes."""
        return self.weigh(self.ask(targets, num_classes=num_classes, num_neighbors=num_neighbors), PoolSettings())

    def ask(self, targets: np.ndarray, *, num_classes: int, num_neighbors: int) -> Opinions:
        """What probes and neighbors say, by labels as they are."""
        labels = np.eye(num_classes)[targets]
        similarities = [
            class_similarities(each, targets, self.groups, num_classes=num_classes, num_neighbors=num_neighbors)
            for each in self.features
        ]
        own_class, neighbors = (np.mean(each, axis=0) for each in zip(*similarities, strict=True))
        penalties = tuple(probe.best_penalty(labels) for probe in self.probes)
        return Opinions(targets, penalties, self._predict(labels, penalties), neighbors, own_class)

    def weigh(self, opinions: Opinions, settings: PoolSettings) -> Judgement:
        """How likely each label is wrong. The probes are asked once more, with what the images are likely to show."""
        targets, neighbors = opinions.targets, opinions.neighbors
        labels = np.eye(neighbors.shape[1])[targets]
        noise = even_noise(neighbors.shape[1])
        pooled = {
            weight: pooled_log_probs(opinions.probe, neighbors, targets, noise, weight)
            for weight in settings.neighbor_weights
        }
        weight = min(pooled, key=lambda each: _brier_score(pooled[each], labels))
        found = label_posterior(pooled[weight], targets, noise, settings.prior_count, settings.share)
        if settings.refit > 0:
            probe = self._predict((1 - settings.refit) * labels + settings.refit * found.shown, opinions.penalties)
            again = pooled_log_probs(probe, neighbors, targets, found.transition, weight)
            found = label_posterior(again, targets, found.transition, settings.prior_count, settings.share)
        return Judgement(np.exp(pooled[weight]), found.log_odds, opinions.own_class)

    def probe_probs(self, opinions: Opinions) -> np.ndarray:
        """(n, C) probabilities by the probes alone."""
        noise = even_noise(opinions.probe.shape[1])
        return np.exp(pooled_log_probs(opinions.probe, opinions.neighbors, opinions.targets, noise, 0.0))

    def _predict(self, targets: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
        """(n, C) mean over backbones."""
        predicted = [probe.predict(targets, each) for probe, each in zip(self.probes, penalties, strict=True)]
        return np.asarray(np.mean(predicted, axis=0))


def _brier_score(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Summed over classes (n, C), the mean of images."""
    return float(((np.exp(log_probs) - labels) ** 2).sum(axis=1).mean())


def fraction_lower(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1): fraction of the images of the same class whose value is lower."""
    result = np.zeros(len(values))
    for number in np.unique(classes):
        rows = classes == number
        result[rows] = np.searchsorted(np.sort(values[rows]), values[rows]) / rows.sum()
    return result


def _ranks(mislabeled: np.ndarray, outlier: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) from 1 within each class: the first by either score, then the second by either, and so on."""
    rank = np.zeros(len(targets), dtype=np.int64)
    for number in np.unique(targets):
        rows = np.flatnonzero(targets == number)
        places = [np.argsort(np.argsort(-score[rows], kind="stable"), kind="stable") for score in (mislabeled, outlier)]
        order = np.lexsort((places[0], np.minimum(*places)))
        rank[rows[order]] = np.arange(1, len(rows) + 1)
    return rank
