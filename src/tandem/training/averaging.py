"""Weights over several models, for the weighted mean of their probs. Fitted on images that trained none of them.

The log loss of a weighted mean depends on nothing but the prob that each model gives to the target of an image, so
everything here is fitted to that: target_probs (M, n), of M models on n images.
"""

import numpy as np

from tandem.evaluation.metrics import SMALLEST_PROB, log_probs, softmax

_TOLERANCE = 1e-10
_MAX_STEPS = 10_000
_LEAST = 1e-6  # weight
_NUM_BAGS = 20
NUM_STANDARD_ERRORS = 2  # of a difference, about its 95 % confidence interval
_BAG_FRACTION = 0.5  # of the models in a bag
_ROUNDS = 25


def probs_of_targets(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(M, n) prob of each image's target. logits: (M, n, C). targets: (n,) class indices."""
    return np.stack([softmax(of_model)[np.arange(len(targets)), targets] for of_model in logits])


def target_log_losses(target_probs: np.ndarray) -> np.ndarray:
    """(M, n) log loss of each image. target_probs: (M, n), prob of its target."""
    return -np.log(np.clip(target_probs, SMALLEST_PROB, 1))


def average_probs(logits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, C) float32 log of the weighted mean over models of their probs. logits: (M, N, C). weights: (M,), sum 1."""
    probs = sum(weights[model] * softmax(logits[model]) for model in np.flatnonzero(weights))
    return log_probs(probs)


def standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Of the mean of values (n,) that depend on one another within groups (n,)."""
    group_of = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(group_of, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))


def uniform_weights(num_models: int) -> np.ndarray:
    """(M,) the same weight for all."""
    return np.full(num_models, 1 / num_models)


def equal_weights(target_probs: np.ndarray) -> np.ndarray:
    """(M,) the same weight for all models of target_probs (M, n), but 0 for those clearly worse than the best one.

    Clearly: their log loss is higher by more than two standard errors of the difference. Without images all are alike.
    """
    if not target_probs.size:
        return uniform_weights(len(target_probs))
    losses = target_log_losses(target_probs)
    excess = losses - losses[losses.mean(axis=1).argmin()]
    is_used = excess.mean(axis=1) <= NUM_STANDARD_ERRORS * excess.std(axis=1) / np.sqrt(target_probs.shape[1])
    return is_used / is_used.sum()


def max_likelihood_weights(target_probs: np.ndarray) -> np.ndarray:
    """(M,) weights, none negative, of sum 1, with the lowest log loss on target_probs (M, n).

    One below a millionth is on its way to 0, and is 0: a model that says nothing need not be run.

    By expectation and maximisation for the weights of a mixture of fixed parts: the loss is convex in the weights and
    falls in every step (Dempster, Laird & Rubin 1977). Without images all models weigh the same.
    """
    weights = uniform_weights(len(target_probs))
    if not target_probs.size:
        return weights
    target_probs = np.clip(target_probs, SMALLEST_PROB, 1)
    for _ in range(_MAX_STEPS):
        joint = weights[:, None] * target_probs
        updated = (joint / joint.sum(axis=0)).mean(axis=1)
        if np.abs(updated - weights).max() < _TOLERANCE:
            break
        weights = updated
    weights[weights < _LEAST] = 0
    return weights / weights.sum()


def greedy_weights(target_probs: np.ndarray, *, seed: int) -> np.ndarray:
    """(M,) weights by bagged greedy selection with replacement on target_probs (M, n) (Caruana et al. 2004).

    A bag is a random half of the models. It starts with its best one and adds, round by round, the one whose addition
    leaves the lowest log loss; the best of these rounds counts. The weights are the mean over the bags.
    """
    rng, num_models = np.random.default_rng(seed), len(target_probs)
    if not target_probs.size:
        return uniform_weights(num_models)
    target_probs = np.clip(target_probs, SMALLEST_PROB, 1)
    total = np.zeros(num_models)
    for _ in range(_NUM_BAGS):
        bag = np.sort(rng.permutation(num_models)[: max(1, round(_BAG_FRACTION * num_models))])
        selected = _select_greedily(target_probs[bag])
        total[bag] += np.bincount(selected, minlength=len(bag)) / len(selected)
    return total / _NUM_BAGS


def _select_greedily(target_probs: np.ndarray) -> list[int]:
    """The models selected, some more than once."""
    selected: list[int] = []
    best_size, best_loss, total = 0, np.inf, np.zeros(target_probs.shape[1])
    for size in range(1, _ROUNDS + 1):
        losses = -np.log((total + target_probs) / size).mean(axis=1)
        model = int(losses.argmin())
        selected.append(model)
        total = total + target_probs[model]
        if losses[model] < best_loss:
            best_size, best_loss = size, float(losses[model])
    return selected[:best_size]
