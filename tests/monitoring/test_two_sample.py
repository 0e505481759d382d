"""Permutation tests held against SciPy's, brute force, and how often they find what is not there."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from tandem.monitoring.two_sample import TwoSamples, chi_square_test, holm, ks_test, mmd_test

MANY = {"num_permutations": 4000, "seed": 0}


def ungrouped(num_first, num_second):
    return TwoSamples.of(np.arange(num_first), np.arange(num_second))


def test_groups_of_two_samples_are_two_and_an_image_counts_as_its_fraction():
    samples = TwoSamples.of(np.array(["a", "b", "a"]), np.array(["a", "a", "c", "a"]))
    assert samples.group_of.tolist() == [0, 1, 0, 2, 2, 3, 2]
    assert (samples.num_first, samples.num_groups) == (2, 4)
    assert samples.fractions.tolist() == [1 / 2, 1, 1 / 2, 1 / 3, 1 / 3, 1, 1 / 3]
    assert samples.group_means(np.arange(7.0)[:, None]).ravel().tolist() == pytest.approx([1, 1, 13 / 3, 5])


@pytest.mark.parametrize("shift", [0, 0.5, 1])
def test_without_groups_the_distance_and_p_value_of_ks_are_scipys(shift):
    rng = np.random.default_rng(int(10 * shift))
    one, other = rng.normal(size=40), rng.normal(size=30) + shift
    found, expected = ks_test(np.concatenate([one, other]), ungrouped(40, 30), **MANY), stats.ks_2samp(one, other)
    assert found.effect == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.03)


def test_with_ties_the_distance_of_ks_is_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 4, 40).astype(float), rng.integers(1, 5, 30).astype(float)
    found = ks_test(np.concatenate([one, other]), ungrouped(40, 30), **MANY)
    assert found.effect == pytest.approx(stats.ks_2samp(one, other).statistic)
    assert ks_test(np.ones(70), ungrouped(40, 30), **MANY).p_value == 1


@pytest.mark.parametrize("moved", [0, 8, 16])
def test_without_groups_the_p_value_of_chi_square_is_about_scipys(moved):
    counts = np.array([[60, 40, 20], [30 + moved, 25 - moved, 5]])
    classes = np.concatenate([np.repeat(np.arange(3), row) for row in counts])
    found = chi_square_test(classes, ungrouped(*counts.sum(axis=1)), num_classes=4, **MANY)
    assert found.p_value == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue, abs=0.03)
    fractions = counts / counts.sum(axis=1, keepdims=True)
    assert found.effect == pytest.approx(np.abs(fractions[0] - fractions[1]).sum() / 2)


def test_the_discrepancy_and_its_p_value_are_those_of_brute_force():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(9, 5)) + np.repeat([[0.0], [1.0]], [4, 5], axis=0)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = np.linalg.norm(rows[:, None] - rows, axis=2)
    scale = np.median(distances[np.triu_indices(9, 1)])

    def square(first):
        second = [row for row in range(9) if row not in first]

        def mean(pairs):
            return np.mean([np.exp(-(distances[i, j] ** 2) / (2 * scale**2)) for i, j in pairs])

        within = mean(combinations(first, 2)) + mean(combinations(second, 2))
        return within - 2 * mean((i, j) for i in first for j in second)

    of_all = np.array([square(first) for first in combinations(range(9), 4)])
    observed = square((0, 1, 2, 3))
    found = mmd_test(features, ungrouped(4, 5), **MANY)
    assert found.effect == pytest.approx(np.sqrt(max(0, observed)), abs=1e-5)
    assert found.p_value == pytest.approx((of_all >= observed - 1e-12).mean(), abs=0.03)


def all_tests(values, features, classes, samples, seed):
    options = {"num_permutations": 99, "seed": seed}
    return {
        "ks": ks_test(values, samples, **options).p_value,
        "mmd": mmd_test(features, samples, **options).p_value,
        "chi_square": chi_square_test(classes, samples, num_classes=3, **options).p_value,
    }


def alarms(num_draws, *, is_grouped, alpha=0.1):
    """Fraction of p values up to alpha of two samples of one distribution, whose groups of 5 are nearly one image."""
    found = []
    for seed in range(num_draws):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(30), rng.integers(1, 10, 30))
        features = rng.normal(size=(30, 8))[groups] + 0.05 * rng.normal(size=(len(groups), 8))
        is_first = groups < 18
        names = groups if is_grouped else np.arange(len(groups))
        samples = TwoSamples.of(names[is_first], names[~is_first])
        found.append(all_tests(features[:, 0], features, features[:, :3].argmax(axis=1), samples, seed))
    return {name: np.mean([each[name] <= alpha for each in found]) for name in found[0]}


def test_false_alarms_are_as_many_as_alpha_says_where_groups_are_permuted():
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.1) / 200
    assert all(low <= rate <= high for rate in alarms(200, is_grouped=True).values())


def test_false_alarms_are_many_more_where_images_of_a_group_count_as_independent():
    assert all(rate > 0.3 for rate in alarms(60, is_grouped=False).values())


def test_the_same_seed_gives_the_same_p_values_and_another_one_others():
    rng = np.random.default_rng(3)
    data = rng.normal(size=50), rng.normal(size=(50, 4)), rng.integers(0, 3, 50), ungrouped(30, 20)
    assert all_tests(*data, seed=1) == all_tests(*data, seed=1)
    assert all_tests(*data, seed=1) != all_tests(*data, seed=2)


@pytest.mark.parametrize(("sizes", "expected"), [((2, 3), 1 / 10), ((50, 50), 1 / 100)])
def test_the_smallest_p_value_is_that_of_one_permutation_of_all(sizes, expected):
    assert ungrouped(*sizes).smallest_p_value(99) == expected


def test_adjusted_p_values_reject_what_the_sequential_procedure_of_holm_rejects():
    rng = np.random.default_rng(4)
    for _ in range(50):
        p_values = (rng.random(6) ** 4).tolist()
        for alpha in (0.01, 0.05, 0.2):
            rejected = set()
            for rank, number in enumerate(np.argsort(p_values)):
                if p_values[number] > alpha / (6 - rank):
                    break
                rejected.add(int(number))
            assert {number for number, each in enumerate(holm(p_values)) if each <= alpha} == rejected
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
