"""Weights over several models, for the weighted mean of their probabilities. Fitted on rows that trained none of them.

The log loss of a weighted mean depends on nothing but the probability that each model gives to the row's own class, so
everything here is fitted to that: own (M, n), of M models on n rows.
"""

import numpy as np

from tandem.evaluation.metrics import softmax

_SMALLEST = 1e-30
_TOLERANCE = 1e-10
_MAX_STEPS = 10_000
_BAGS = 20
NUM_STANDARD_ERRORS = 2  # standard errors of a difference, about the limits of 95 %
_BAG_FRACTION = 0.5  # of the models in a bag
_ROUNDS = 25


def own_probs(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(M, n) probability of each row's own class. logits: (M, n, C). target: (n,) class indices."""
    return np.stack([softmax(part)[np.arange(len(target)), target] for part in logits])


def average_probs(logits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, C) float32 log of the weighted mean over models of their probs. logits: (M, N, C). weights: (M,), sum 1."""
    used = np.flatnonzero(weights)
    probs = sum(weights[model] * softmax(logits[model]) for model in used)
    return np.log(np.clip(probs, _SMALLEST, 1)).astype(np.float32)


def uniform_weights(num_models: int) -> np.ndarray:
    """(M,) the same weight for all."""
    return np.full(num_models, 1 / num_models)


def equal_weights(own: np.ndarray) -> np.ndarray:
    """(M,) the same weight for all models on own (M, n), but 0 for those that are clearly worse than the best one.

    Clearly: their log loss is higher by more than two standard errors of the difference. Without rows all are alike.
    """
    if not own.size:
        return uniform_weights(len(own))
    losses = -np.log(np.clip(own, _SMALLEST, 1))
    excess = losses - losses[losses.mean(axis=1).argmin()]
    is_member = excess.mean(axis=1) <= NUM_STANDARD_ERRORS * excess.std(axis=1) / np.sqrt(own.shape[1])
    return is_member / is_member.sum()


def max_likelihood_weights(own: np.ndarray) -> np.ndarray:
    """(M,) weights, none negative, of sum 1, with the lowest log loss on own (M, n).

    By expectation and maximisation for the weights of a mixture of fixed parts: the loss is convex in the weights and
    falls in every step (Dempster, Laird & Rubin 1977). Without rows all models weigh the same.
    """
    weights = uniform_weights(len(own))
    if not own.size:
        return weights
    own = np.clip(own, _SMALLEST, 1)
    for _ in range(_MAX_STEPS):
        share = weights[:, None] * own
        following = (share / share.sum(axis=0)).mean(axis=1)
        if np.abs(following - weights).max() < _TOLERANCE:
            break
        weights = following
    return weights


def greedy_weights(own: np.ndarray, *, seed: int) -> np.ndarray:
    """(M,) weights by bagged greedy selection with replacement on own (M, n) (Caruana et al. 2004).

    A bag is half of the models, drawn. It starts with its best one and adds, round by round, the one whose addition
    leaves the lowest log loss; what was best on the way counts. The weights are the mean over the bags.
    """
    rng, num_models = np.random.default_rng(seed), len(own)
    if not own.size:
        return uniform_weights(num_models)
    own = np.clip(own, _SMALLEST, 1)
    total = np.zeros(num_models)
    for _ in range(_BAGS):
        bag = np.sort(rng.permutation(num_models)[: max(1, round(_BAG_FRACTION * num_models))])
        chosen = _select(own[bag])
        total[bag] += np.bincount(chosen, minlength=len(bag)) / len(chosen)
    return total / _BAGS


def _select(own: np.ndarray) -> list[int]:
    """The models taken, some more than once."""
    chosen: list[int] = []
    best, best_loss, mixed = 0, np.inf, np.zeros(own.shape[1])
    for number in range(1, _ROUNDS + 1):
        losses = -np.log((mixed + own) / number).mean(axis=1)
        taken = int(losses.argmin())
        chosen.append(taken)
        mixed = mixed + own[taken]
        if losses[taken] < best_loss:
            best, best_loss = number, float(losses[taken])
    return chosen[:best]
