"""How likely each label is wrong, by what a probe and the neighbors say of the classes and by the noise of all labels.

A label y is a draw from row k of a transition matrix T, where k is the class that the image shows (class-conditional
noise: Angluin, Laird, 1988; Natarajan et al., 2013). With probabilities p of the classes the label is right with
p[y] T[y, y] and wrong with the sum over k of p[k] T[k, y]. T is found by expectation maximisation (Dawid, Skene, 1979)
with a prior count of labels in each row, which are spread evenly over the other classes: so a confusion of two classes
has to be frequent before it counts. Classes that are hard to tell apart look as if their labels were confused, so the
odds under T are pooled with those under noise that spares no class (logarithmic opinion pool: Genest, Zidek, 1986).
"""

from dataclasses import dataclass

import numpy as np

_FIRST_NOISE = 0.05  # before any is found
_STEPS = 5  # of expectation maximisation
_SCALES = (0.1, 1000.0)  # of logits: from hardly any confidence to certainty
_TOLERANCE = 0.05  # of the logarithm of a scale
_TINY = 1e-300
_NEVER = -1e30  # logit of what cannot be


@dataclass(frozen=True)
class PoolSettings:
    """How a probe and neighbors are pooled; what stands here was chosen by benchmarks/planted_noise.py.

    neighbor_weights: of what the neighbors say, in [0, 1), of which the one with the lowest Brier score is taken; the
    probe has the rest. prior_count: labels in each row of the transition matrix before any is seen. refit: how far the
    probe is fitted again to what the images are likely to show, and not to their labels, in [0, 1]. share: of the noise
    between classes that is found in the log odds, in [0, 1]; noise that is even over the classes has the rest.
    """

    neighbor_weights: tuple[float, ...] = (0.0, 0.25)
    prior_count: float = 20.0
    refit: float = 0.5
    share: float = 0.75


@dataclass(frozen=True)
class Posterior:
    """Of n labels. log_probs: (n, C) of the classes, their own labels not asked. transition: (C, C), rows add up to 1.

    shown: (n, C) probabilities of the classes, their own labels taken into account. log_odds: (n,) that it is wrong.
    """

    log_probs: np.ndarray
    transition: np.ndarray
    shown: np.ndarray
    log_odds: np.ndarray


def even_noise(num_classes: int, rate: float = _FIRST_NOISE) -> np.ndarray:
    """(C, C) transition matrix: with `rate` a label is one of the others, each as likely."""
    rate = rate if num_classes > 1 else 0.0
    others = np.full((num_classes, num_classes), rate / max(num_classes - 1, 1))
    return np.where(np.eye(num_classes, dtype=bool), 1 - rate, others)


def pooled_log_probs(
    probe: np.ndarray, neighbors: np.ndarray, targets: np.ndarray, transition: np.ndarray, weight: float
) -> np.ndarray:
    """(n, C) log probabilities: both pooled, each scaled to the highest likelihood of the labels under the noise.

    probe, neighbors: (n, C) logits of any scale; of neighbors -inf where no image of the class can be compared, which
    then has probability 0, unless that is so of all classes. targets: (n,) class indices. weight: of the neighbors.
    """
    is_possible = np.isfinite(neighbors)
    is_possible |= ~is_possible.any(axis=1, keepdims=True)
    by_probe, by_neighbors = (
        _scaled(np.where(is_possible & np.isfinite(logits), logits, _NEVER), targets, transition)
        for logits in (probe, neighbors)
    )
    return _scaled((1 - weight) * by_probe + weight * by_neighbors, targets, transition)


def label_posterior(
    log_probs: np.ndarray, targets: np.ndarray, transition: np.ndarray, prior_count: float, share: float = 1.0
) -> Posterior:
    """What the images show given labels, and the noise. log_probs: (n, C). transition: to begin with.

    share: see PoolSettings; the even noise has the rate of the noise that is found.
    """
    for _ in range(_STEPS):
        shown = np.exp(_normalized(log_probs + _log_of_label(transition, targets)))
        transition = _transition(shown, targets, prior_count)
    joint = log_probs + _log_of_label(transition, targets)
    shown = np.exp(_normalized(joint))
    rate = float(shown.mean(axis=0) @ (1 - np.diag(transition)))
    even = log_probs + _log_of_label(even_noise(len(transition), rate), targets)
    log_odds = share * _log_odds(joint, targets) + (1 - share) * _log_odds(even, targets)
    return Posterior(log_probs, transition, shown, log_odds)


def _log_odds(joint: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) of all classes but the label's to it. joint: (n, C) log probabilities of class and label."""
    rows = np.arange(len(targets))
    of_others = joint.copy()
    of_others[rows, targets] = _NEVER
    return np.asarray(_log_sums(of_others)[:, 0] - joint[rows, targets])


def _scaled(logits: np.ndarray, targets: np.ndarray, transition: np.ndarray) -> np.ndarray:
    """(n, C) log probabilities of logits times the scale under which the labels are the likeliest."""
    from scipy.optimize import minimize_scalar

    of_label = transition[:, targets].T

    def loss(log_scale: float) -> float:
        probs = np.exp(_normalized(np.exp(log_scale) * logits))
        return -float(np.log(np.maximum((probs * of_label).sum(axis=1), _TINY)).mean())

    found = minimize_scalar(loss, bounds=np.log(_SCALES), method="bounded", options={"xatol": _TOLERANCE})
    return _normalized(np.exp(found.x) * logits)


def _normalized(logits: np.ndarray) -> np.ndarray:
    """(n, C) logarithms of probabilities."""
    return logits - _log_sums(logits)


def _log_sums(logits: np.ndarray) -> np.ndarray:
    """(n, 1) logarithms of the sums of exp."""
    highest = logits.max(axis=1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True)))


def _log_of_label(transition: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n, C) logarithm of the probability of each image's label, by the class that it shows."""
    return np.log(np.maximum(transition[:, targets].T, _TINY))


def _transition(shown: np.ndarray, targets: np.ndarray, prior_count: float) -> np.ndarray:
    """(C, C) expected labels of each class that is shown, and prior_count more at the mean rate of noise."""
    num_classes = shown.shape[1]
    joint = np.stack([shown[targets == number].sum(axis=0) for number in range(num_classes)], axis=1)
    rate = (joint.sum() - np.trace(joint) + 1) / (joint.sum() + 2)
    prior = prior_count * even_noise(num_classes, rate)
    return (joint + prior) / (joint + prior).sum(axis=1, keepdims=True)
