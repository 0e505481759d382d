"""Weights over models against scipy's constrained minimiser and a search over all small mixtures."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tandem.evaluation.metrics import log_loss, predict, softmax
from tandem.training import averaging


def planted(seed: int, *, num_models: int = 4, num_rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Logits (M, n, 3) of models of different worth, and targets."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(3, size=num_rows)
    worth = rng.uniform(0, 2, size=(num_models, 1, 1))
    return rng.normal(size=(num_models, num_rows, 3)) + worth * np.eye(3)[targets], targets


def loss(weights: np.ndarray, target_probs: np.ndarray) -> float:
    return float(-np.log(weights @ target_probs).mean())


def test_the_average_is_the_log_of_the_weighted_mean_of_probs() -> None:
    logits, targets = planted(0)
    weights = np.array([0.1, 0.0, 0.6, 0.3])
    found = averaging.average_probs(logits, weights)
    expected = sum(weight * softmax(part) for weight, part in zip(weights, logits, strict=True))
    assert np.exp(found) == pytest.approx(expected, abs=1e-6)
    assert found.dtype == np.float32
    target_probs = averaging.probs_of_targets(logits, targets)
    assert log_loss(predict(found, targets)) == pytest.approx(loss(weights, target_probs), abs=1e-6)


def test_the_average_of_probs_of_0_is_finite() -> None:
    found = averaging.average_probs(np.array([[[0, -3e38]]] * 2), averaging.uniform_weights(2))
    assert np.isfinite(found).all()


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_max_likelihood_weights_are_those_of_a_constrained_minimiser(seed: int, num_models: int) -> None:
    target_probs = averaging.probs_of_targets(*planted(seed, num_models=num_models))
    weights = averaging.max_likelihood_weights(target_probs)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    reference = minimize(
        loss,
        averaging.uniform_weights(num_models),
        args=(target_probs,),
        method="SLSQP",
        bounds=[(0, 1)] * num_models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert loss(weights, target_probs) <= reference.fun + 1e-5


def test_a_model_that_has_no_say_weighs_nothing() -> None:
    rng = np.random.default_rng(0)
    knows, guesses = rng.uniform(0.7, 0.9, 200), rng.uniform(0.1, 0.6, 200)
    assert averaging.max_likelihood_weights(np.stack([knows, guesses])).tolist() == [1, 0]


def test_a_bag_is_never_worse_than_its_best_model_and_nearly_as_good_as_the_best_small_mixture() -> None:
    target_probs = averaging.probs_of_targets(*planted(3))
    selected = averaging._select_greedily(target_probs)
    found = loss(np.bincount(selected, minlength=4) / len(selected), target_probs)
    assert found <= min(loss(weights, target_probs) for weights in np.eye(4))
    mixtures = (np.bincount(models, minlength=4) / 6 for models in combinations_with_replacement(range(4), 6))
    assert found <= min(loss(weights, target_probs) for weights in mixtures) + 0.002


def test_greedy_weights_are_the_mean_over_the_bags_and_the_seed_decides_them() -> None:
    target_probs = averaging.probs_of_targets(*planted(4, num_models=8))
    weights = averaging.greedy_weights(target_probs, seed=0)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert (weights == averaging.greedy_weights(target_probs, seed=0)).all()
    assert (weights != averaging.greedy_weights(target_probs, seed=1)).any()
    assert loss(weights, target_probs) < loss(averaging.uniform_weights(8), target_probs)


def test_a_model_that_is_there_twice_shares_its_weight() -> None:
    target_probs = averaging.probs_of_targets(*planted(5, num_models=2))
    once, twice = (
        averaging.max_likelihood_weights(target_probs),
        averaging.max_likelihood_weights(target_probs[[0, 1, 1]]),
    )
    assert twice[0] == pytest.approx(once[0], abs=1e-4)


@pytest.mark.parametrize(
    "weights_of", [averaging.max_likelihood_weights, lambda probs: averaging.greedy_weights(probs, seed=0)]
)
def test_without_images_all_models_weigh_the_same_and_a_single_one_weighs_1(weights_of) -> None:
    assert weights_of(np.zeros((3, 0))).tolist() == [1 / 3] * 3
    assert weights_of(np.array([[0.5, 0.0]])).tolist() == [1]


def test_models_weigh_alike_but_those_that_are_clearly_worse() -> None:
    rng = np.random.default_rng(0)
    good = rng.uniform(0.6, 1.0, (2, 400))
    bad, few = rng.uniform(0.1, 0.5, (1, 400)), slice(0, 2)
    assert averaging.equal_weights(np.concatenate([good, bad])) == pytest.approx([0.5, 0.5, 0])
    doubtful = np.array([[0.9, 0.5], [0.2, 0.6]])  # far apart, but two rows do not say which is better
    assert averaging.equal_weights(doubtful) == pytest.approx([0.5, 0.5])
    assert averaging.equal_weights(np.concatenate([good, good[:1]])[:, few]) == pytest.approx([1 / 3] * 3)
    assert averaging.equal_weights(np.zeros((4, 0))) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize(("num_errors", "is_used"), [(1.96, True), (2.04, False)])
def test_clearly_worse_is_by_more_than_two_standard_errors(num_errors: float, is_used: bool) -> None:
    signs = np.where(np.arange(100) % 2, 1, -1)
    excess = 0.05 * num_errors + 0.5 * signs  # of standard error 0.05
    target_probs = np.stack([np.full(100, 0.4), 0.4 * np.exp(-excess)])
    assert averaging.equal_weights(target_probs) == pytest.approx([0.5, 0.5] if is_used else [1, 0])


@pytest.mark.parametrize(("num_models", "in_bag", "num_rounds"), [(2, 1, 1), (9, 4, 10)])
def test_greedy_selection_is_that_of_twenty_bags_of_half_of_the_models_and_at_most_25_rounds(
    num_models: int, in_bag: int, num_rounds: int
) -> None:
    target_probs = averaging.probs_of_targets(*planted(6, num_models=num_models))
    rng, expected, sizes = np.random.default_rng(5), np.zeros(num_models), []
    for _ in range(20):
        bag = sorted(rng.permutation(num_models)[:in_bag].tolist())
        selected, losses = [], []
        for _ in range(25):
            tried = {model: -np.log(target_probs[[*selected, model]].mean(axis=0)).mean() for model in bag}
            selected.append(min(tried, key=tried.get))
            losses.append(tried[selected[-1]])
        kept = selected[: int(np.argmin(losses)) + 1]
        expected += np.bincount(kept, minlength=num_models) / len(kept) / 20
        sizes.append(len(kept))
    assert averaging.greedy_weights(target_probs, seed=5) == pytest.approx(expected, abs=1e-9)
    assert max(sizes) >= num_rounds


def test_the_standard_error_of_groups_is_that_of_their_sums() -> None:
    values, groups = np.array([1.0, 3.0, 2.0, 6.0]), np.array(["a", "a", "b", "c"])
    sums = [1 + 3 - 6, 2 - 3, 6 - 3]  # about the mean of 3
    assert averaging.standard_error(values, groups) == pytest.approx(np.sqrt(np.square(sums).sum()) / 4)
    alone = averaging.standard_error(values, np.arange(4))
    assert alone == pytest.approx(values.std() / 2)
