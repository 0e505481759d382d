"""Where the selected model fails on test: slices by source, class, size, brightness, blur and cluster of features.

Whoever looks at many slices finds one that looks bad by chance. So each interval is a simultaneous one: with m slices
looked at, each has the level 1 - 0.05 / m, and all m together hold with at least 95 % (Bonferroni; Dunn 1961). A slice
is called worse only where the upper bound of its interval lies below the accuracy on all of test. That is a strict
rule: the accuracy on all of test contains the slice, so that the difference of the two varies less than the slice
alone, by the factor 1 - n_slice / n_test of its variance. Of 1000 test splits in which 240 images were wrong by
chance alone, 30 slices each, 1 had a slice that is called worse; of 400 images, a slice of 60 at 0.65 against 0.9 is
found in 9 of 10 runs, at 0.75 in 3 of 10: that nothing is named does not say that nothing is there.

Images of one group are alike, and a model is right or wrong about them together (evaluation.bootstrap). Each interval
takes the worst case, correlation 1 within a group: of n images in groups of n_g, it is that of
n_eff = n ** 2 / sum(n_g ** 2) independent ones (Kish 1965, section 8.2, design effect with rho = 1). It is the exact
one of Clopper & Pearson 1934, by quantiles of the beta distribution, which take numbers that are no whole ones too, as
in Korn & Graubard 1998. The bootstrap is not asked: at the level 1 - 0.05 / m of some twenty images it has no tail.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv
from threadpoolctl import threadpool_limits

from tandem.evaluation.metrics import Predictions
from tandem.tables.samples import Split

MIN_GROUPS = 10  # of a slice, in n_eff; smaller ones are counted and not judged
LEVEL = 0.95  # of all slices together
NUM_CLUSTERS = 6  # at most; each has twice MIN_GROUPS on average
_STARTS = 4  # of k-means
_QUARTERS = (0.25, 0.5, 0.75)
_MOSTLY = 0.5  # the fraction from which on a cluster is named after a class or a source


class Division(NamedTuple):
    """One way to divide n test images. kind: "source", ... names: K of its slices. members: (n,) int64, < K.

    typicality: (n,), the higher, the more an image shows what its slice has in common; None where all do alike.
    """

    kind: str
    names: tuple[str, ...]
    members: np.ndarray
    typicality: np.ndarray | None = None


@dataclass(frozen=True)
class Slice:
    """One slice. kind, name: such as "source", "car_bike". positions: of its images in test, in the order to show them.

    num_groups: n_eff, above. accuracy: top-1, in [0, 1]. low, high: its simultaneous interval. is_worse: high lies
    below the accuracy on all of test.
    """

    kind: str
    name: str
    positions: tuple[int, ...]
    num_wrong: int
    num_groups: float
    accuracy: float
    low: float
    high: float
    is_worse: bool

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Slices:
    """All slices that were judged, in the order of their kinds. accuracy: top-1 on all of test, in [0, 1].

    num_too_small: slices of fewer than MIN_GROUPS, which are not judged. To draw: one row a slice, a bar from low to
    high with a dot at accuracy, and one vertical line through all rows at the accuracy on all of test; a row that
    is_worse is marked in words too, not by its color alone. Say `in_words` above it. positions are those of
    Samples.test: samples.test.rows[position] is the row in the index. The images of a cluster begin with those nearest
    to its center, so the first few show what it is; those of other slices with the mistakes made most surely.
    """

    slices: tuple[Slice, ...]
    accuracy: float
    num_too_small: int

    @property
    def worse(self) -> tuple[Slice, ...]:
        """Those that are named as worse, the least accurate first."""
        return tuple(sorted((each for each in self.slices if each.is_worse), key=lambda each: each.accuracy))

    @property
    def in_words(self) -> str:
        """How many slices were looked at, how they are judged, and which are worse."""
        if not self.slices:
            return f"No slice of test has the {MIN_GROUPS} groups of images that it takes to judge one."
        worse = ", ".join(f"{each.kind} {each.name}" for each in self.worse) or "none"
        small = f" {self.num_too_small} slices of fewer than {MIN_GROUPS} groups are not judged." * bool(
            self.num_too_small
        )
        return (
            f"{len(self.slices)} slices were looked at; their intervals hold together with {100 * LEVEL:.0f} % "
            f"(Bonferroni, Clopper-Pearson on groups). Clearly worse than test as a whole: {worse}.{small}"
        )


def find_slices(
    predictions: Predictions,
    test: Split,
    *,
    class_names: Sequence[str],
    measures: Mapping[str, np.ndarray],
    features: np.ndarray,
    seed: int,
) -> Slices:
    """Slices of test by source, class, quarters of each measure, and cluster of features.

    predictions: of the n test images. measures: name with its unit, such as "shorter side (px)", -> (n,) values.
    features: (n, D) of one backbone. seed: of k-means.
    """
    labels = np.array(class_names)[test.targets]
    divisions = [
        by_name("source", test.sources),
        by_name("class", labels),
        *(by_quarter(kind, values) for kind, values in measures.items()),
        by_cluster(features, test, labels, seed=seed),
    ]
    return judge(divisions, predictions, test.groups)


def judge(divisions: Iterable[Division], predictions: Predictions, groups: np.ndarray) -> Slices:
    """The slices of all divisions, each with its interval. groups: (n,) names. A slice that is all of test is none."""
    num_images, group_of = len(predictions), np.unique(groups, return_inverse=True)[1]
    found = [
        (division, name, np.flatnonzero(division.members == number))
        for division in divisions
        for number, name in enumerate(division.names)
    ]
    found = [each for each in found if 0 < len(each[2]) < num_images]
    judged = [each for each in found if effective_groups(group_of[each[2]]) >= MIN_GROUPS]
    accuracy = float(predictions.is_right.mean()) if num_images else float("nan")
    level = 1 - (1 - LEVEL) / max(len(judged), 1)
    slices = (_slice(*each, predictions, group_of, level=level, overall=accuracy) for each in judged)
    return Slices(tuple(slices), accuracy, len(found) - len(judged))


def effective_groups(groups: np.ndarray) -> float:
    """How many independent images n of them in these groups (n,) are worth at worst: n ** 2 / sum(n_g ** 2)."""
    counts = np.unique(groups, return_counts=True)[1]
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def exact_interval(fraction: float, num: float, *, level: float) -> tuple[float, float]:
    """Of a fraction of `num` independent images, by Clopper & Pearson 1934. num need not be a whole number."""
    right, tail = fraction * num, (1 - level) / 2
    low = float(betaincinv(right, num - right + 1, tail)) if right > 0 else 0.0
    high = float(betaincinv(right + 1, num - right, 1 - tail)) if right < num else 1.0
    return low, high


def by_name(kind: str, values: np.ndarray) -> Division:
    """A slice for each different text. values: (n,) str."""
    names, members = np.unique(values, return_inverse=True)
    return Division(kind, tuple(names.tolist()), members)


def by_quarter(kind: str, values: np.ndarray) -> Division:
    """A slice for each quarter of the values (n,), named by its least and its greatest; equal ones stay together."""
    edges = np.unique(np.quantile(values, _QUARTERS)) if len(values) else np.empty(0)
    _, members = np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)
    parts = (values[members == number] for number in range(members.max(initial=-1) + 1))
    return Division(kind, tuple(f"{part.min():.4g} to {part.max():.4g}" for part in parts), members)


def by_cluster(features: np.ndarray, test: Split, labels: np.ndarray, *, seed: int) -> Division:
    """A slice for each cluster that k-means (Lloyd 1982) finds among features (n, D), scaled to length 1.

    At most NUM_CLUSTERS, none where test is too small for two. Each is named after what most of its images are.
    labels: (n,) class names.
    """
    num_clusters = min(NUM_CLUSTERS, int(effective_groups(test.groups) // (2 * MIN_GROUPS)))
    if num_clusters < 2:
        return Division("cluster", (), np.zeros(len(test), dtype=np.int64))
    from sklearn.cluster import KMeans  # a second, which other commands need not wait for
    from sklearn.exceptions import ConvergenceWarning

    scaled = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    with threadpool_limits(limits=1), warnings.catch_warnings():  # the same sums on any number of cores
        warnings.simplefilter("ignore", ConvergenceWarning)  # of features that are all alike: then there are fewer
        fitted = KMeans(num_clusters, n_init=_STARTS, random_state=seed).fit(scaled)
    distances = fitted.transform(scaled)[np.arange(len(test)), fitted.labels_]
    numbers, members = np.unique(fitted.labels_, return_inverse=True)
    names = (_cluster_name(number, members == number, labels, test.sources) for number in range(len(numbers)))
    return Division("cluster", tuple(names), members, -distances)


def _cluster_name(number: int, inside: np.ndarray, labels: np.ndarray, sources: np.ndarray) -> str:
    parts = []
    for values in (labels[inside], sources[inside]):
        names, counts = np.unique(values, return_counts=True)
        if counts.max() > _MOSTLY * len(values):
            parts.append(f"{counts.max() / len(values):.0%} {names[counts.argmax()]}")
    return f"{number + 1} ({', '.join(parts) or 'mixed'})"


def _slice(
    division: Division,
    name: str,
    positions: np.ndarray,
    predictions: Predictions,
    groups: np.ndarray,
    *,
    level: float,
    overall: float,
) -> Slice:
    is_right, num_groups = predictions.is_right[positions], effective_groups(groups[positions])
    low, high = exact_interval(float(is_right.mean()), num_groups, level=level)
    if division.typicality is None:
        order = np.lexsort((-predictions.confidence[positions], is_right))
    else:
        order = np.argsort(-division.typicality[positions], kind="stable")
    return Slice(
        kind=division.kind,
        name=name,
        positions=tuple(positions[order].tolist()),
        num_wrong=int((~is_right).sum()),
        num_groups=num_groups,
        accuracy=float(is_right.mean()),
        low=low,
        high=high,
        is_worse=high < overall,
    )
