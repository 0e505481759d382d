"""Whether two samples are of one distribution: permutation tests over groups, and a correction for several of them.

Images of a group are alike, so what is permuted are groups, and each counts once: an image counts as the fraction that
it is of its group. Under no difference the groups are exchangeable, and a p value is at most alpha with a probability
of at most alpha, whatever the distribution is (Lehmann & Romano 2005, section 15.2; Phipson & Smyth 2010 for the + 1).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.curation.duplicates.by_features.rows import UnitRows

_CELLS = 2**21  # of masks held at a time, 16 MB as numbers
_TIES = 1e-9  # sums in another order differ by less

_Statistic = Callable[[np.ndarray], np.ndarray]  # (R, G) float64, 1 for groups on the first side, to (R,)


@dataclass(frozen=True)
class PermutationTest:
    """effect: how far the samples differ, from 0 on. p_value: how probable so much is if they do not, in (0, 1]."""

    effect: float
    p_value: float


@dataclass(frozen=True, eq=False)
class TwoSamples:
    """Which group each of n images is of, those of the first sample before those of the second.

    group_of: (n,) int64, numbers from 0 on. num_first: groups of the first sample, whose numbers come first.
    """

    group_of: np.ndarray
    num_first: int
    num_groups: int

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> "TwoSamples":
        """first, second: the group of each image, a name or a number; groups of two samples are two."""
        one, other = (np.unique(groups, return_inverse=True) for groups in (first, second))
        num_first = len(one[0])
        return cls(np.concatenate([one[1], other[1] + num_first]), num_first, num_first + len(other[0]))

    @property
    def fractions(self) -> np.ndarray:
        """(n,) of an image in its group."""
        return 1 / np.bincount(self.group_of)[self.group_of]

    def group_means(self, values: np.ndarray) -> np.ndarray:
        """(G, T) of values (n, T) of images."""
        means = np.zeros((self.num_groups, values.shape[1]))
        np.add.at(means, self.group_of, values * self.fractions[:, None])
        return means

    def smallest_p_value(self, num_permutations: int) -> float:
        """That a test can give: of few groups there are few permutations."""
        return max(1 / comb(self.num_groups, self.num_first), 1 / (num_permutations + 1))


def ks_test(values: np.ndarray, samples: TwoSamples, *, num_permutations: int, seed: int) -> PermutationTest:
    """By the statistic of Kolmogorov and Smirnov, in [0, 1]: how far the distributions of values (n,) lie apart."""
    order = np.argsort(values, kind="stable")
    group_of, fractions, is_last = samples.group_of[order], samples.fractions[order], np.ones(len(values), bool)
    is_last[:-1] = np.diff(values[order]) > 0  # of equal values

    def statistic(is_first: np.ndarray) -> np.ndarray:
        steps = _signed(is_first)[:, group_of] * fractions
        return np.abs(steps.cumsum(axis=1)[:, is_last]).max(axis=1)

    effect, p_value = _permuted(statistic, samples, num_permutations=num_permutations, seed=seed)
    return PermutationTest(effect, p_value)


def chi_square_test(
    classes: np.ndarray, samples: TwoSamples, *, num_classes: int, num_permutations: int, seed: int
) -> PermutationTest:
    """By Pearson's chi-square of the counts of classes (n,) int. effect: total variation distance, in [0, 1]."""
    means = samples.group_means(np.eye(num_classes)[classes])
    pooled = means.mean(axis=0)
    is_there = pooled > 0

    def differences(is_first: np.ndarray) -> np.ndarray:
        return _signed(is_first) @ means

    def statistic(is_first: np.ndarray) -> np.ndarray:
        return (differences(is_first)[:, is_there] ** 2 / pooled[is_there]).sum(axis=1)

    _, p_value = _permuted(statistic, samples, num_permutations=num_permutations, seed=seed)
    return PermutationTest(float(np.abs(differences(_observed(samples))).sum() / 2), p_value)


def mmd_test(features: np.ndarray, samples: TwoSamples, *, num_permutations: int, seed: int) -> PermutationTest:
    """By the maximum mean discrepancy (Gretton et al. 2012, JMLR 13) of features (n, D), each scaled to length 1.

    The unbiased estimate of its square (their equation 3) with the kernel exp(-d^2 / 2 s^2), s the median distance of
    all pairs (their section 8); of groups, whose kernel is the mean over their images (Gaertner et al. 2002). effect:
    the root of the estimate, or 0 where that is negative; at most the root of 2.
    """
    with threadpool_limits(limits=1):  # the same bytes whatever the number of cores
        gram = _gram(features, samples)

    def statistic(is_first: np.ndarray) -> np.ndarray:
        is_second, (num_first, num_second) = 1 - is_first, _sizes(samples)
        to_first = is_first @ gram
        within_first = (to_first * is_first).sum(axis=1)
        across = (to_first * is_second).sum(axis=1)
        within_second = gram.sum() - within_first - 2 * across
        squares = within_first / (num_first * (num_first - 1)) + within_second / (num_second * (num_second - 1))
        return squares - 2 * across / (num_first * num_second)

    square, p_value = _permuted(statistic, samples, num_permutations=num_permutations, seed=seed)
    return PermutationTest(max(square, 0.0) ** 0.5, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for one another: those below alpha are false with a probability below alpha for all of them together.

    Holm 1979, "A simple sequentially rejective multiple test procedure"; in the order of p_values, at most 1.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _gram(features: np.ndarray, samples: TwoSamples) -> np.ndarray:
    """(G, G) kernel of groups, 0 on its diagonal, which the unbiased estimate leaves out."""
    rows = np.nan_to_num(UnitRows(features)[:]).astype(np.float64)
    products = rows @ rows.T
    squares = np.maximum(2 - 2 * products, 0)
    scale = np.median(np.sqrt(squares[np.triu_indices(len(squares), 1)]))
    kernel = np.exp(-squares / (2 * scale**2)) if scale > 0 else np.ones_like(squares)
    gram = samples.group_means(samples.group_means(kernel).T)
    np.fill_diagonal(gram, 0)
    return gram


def _sizes(samples: TwoSamples) -> tuple[int, int]:
    return samples.num_first, samples.num_groups - samples.num_first


def _observed(samples: TwoSamples) -> np.ndarray:
    """(1, G)."""
    return (np.arange(samples.num_groups) < samples.num_first).astype(np.float64)[None]


def _signed(is_first: np.ndarray) -> np.ndarray:
    """(R, G): what makes of a sum over groups the mean of the first sample less that of the second."""
    num_first = is_first.sum(axis=1, keepdims=True)
    return is_first / num_first - (1 - is_first) / (is_first.shape[1] - num_first)


def _permuted(statistic: _Statistic, samples: TwoSamples, *, num_permutations: int, seed: int) -> tuple[float, float]:
    """The statistic that was observed, and its p value."""
    with threadpool_limits(limits=1):
        observed = float(statistic(_observed(samples))[0])
        blocks = _blocks(samples, num_permutations=num_permutations, seed=seed)
        num_reached = sum(int((statistic(block) >= observed - _TIES).sum()) for block in blocks)
    return observed, (1 + num_reached) / (1 + num_permutations)


def _blocks(samples: TwoSamples, *, num_permutations: int, seed: int) -> Iterator[np.ndarray]:
    """All permutations, (R, G) some at a time."""
    rng, size = np.random.default_rng(seed), max(1, _CELLS // max(len(samples.group_of), 1))
    for start in range(0, num_permutations, size):
        yield rng.permuted(np.repeat(_observed(samples), min(size, num_permutations - start), axis=0), axis=1)
