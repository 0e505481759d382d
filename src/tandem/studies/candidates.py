"""Backbones compared on a user's own images: how well their frozen features predict, and what a second one adds.

A probe is the pipeline's logistic head. It is scored on the images of train by fits that have not seen their group, so
that a backbone can be chosen by it: test is not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tandem.evaluation.bootstrap import Difference, Interval, paired_difference, score_intervals
from tandem.evaluation.metrics import log_loss, log_probs, predict, softmax
from tandem.evaluation.settings import EvaluateSettings
from tandem.tables.samples import Samples
from tandem.training.out_of_fold import train_with_folds
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task


@dataclass(frozen=True)
class Ranked:
    """A backbone's probe. gain: top-1 accuracy of the mean with the best one's probs, less the best one's alone.

    None for the best one itself. Intervals are 95 %, by a bootstrap over groups.
    """

    name: str
    top1_accuracy: Interval
    log_loss: float
    gain: Difference | None


def rank_backbones(
    features: Mapping[str, np.ndarray], samples: Samples, *, train: TrainSettings, evaluate: EvaluateSettings
) -> list[Ranked]:
    """The highest top-1 accuracy first, of equal ones the lower log loss. features: backbone -> (N, D) or (N, k, D)."""
    settings = replace(train, head="logistic", trainable_backbone_layers=0)
    probs = {name: _held_out_probs(each, samples, settings, name) for name, each in features.items()}
    found = {name: predict(log_probs(each), samples.train.targets) for name, each in probs.items()}
    order = sorted(found, key=lambda name: (-found[name].is_right.mean(), log_loss(found[name])))
    best, groups = order[0], samples.train.groups
    options = {"num_resamples": evaluate.num_resamples, "seed": evaluate.seed}

    def gain(name: str) -> Difference:
        both = predict(log_probs((probs[best] + probs[name]) / 2), samples.train.targets)
        return paired_difference(both, found[best], groups, **options)["top1_accuracy"]

    return [
        Ranked(
            name,
            score_intervals(found[name], groups, **options)["top1_accuracy"],
            log_loss(found[name]),
            None if name == best else gain(name),
        )
        for name in order
    ]


def best_second(ranked: Sequence[Ranked]) -> Ranked | None:
    """The one whose mean with the best one has the highest top-1 accuracy, of equal ones the first; None if none gains.

    ranked: by rank_backbones.
    """
    gaining = [each for each in ranked if each.gain is not None and each.gain.value > 0]
    return max(gaining, key=lambda each: each.gain.value if each.gain else 0.0, default=None)


def _held_out_probs(features: np.ndarray, samples: Samples, settings: TrainSettings, name: str) -> np.ndarray:
    """(n, C) of train."""
    _, logits = train_with_folds(head_task(features, samples, settings, name))
    return softmax(logits[samples.train.rows])
