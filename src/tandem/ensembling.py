"""Combine several backbones: a mean of probs, a linear layer on their logits, or a network on their features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tandem import evaluation, heads, training
from tandem.files import whole_folder, write_json
from tandem.logits import Logits, save_logits
from tandem.metrics import softmax
from tandem.samples import Samples
from tandem.training import Settings, Trained

BEST = "best"


@dataclass(frozen=True)
class Ensemble:
    """logits: (N, C) float32 for all pictures. trained: None for the mean, which has nothing to train."""

    logits: np.ndarray
    trained: Trained | None


def combine_all(
    *, features: Mapping[str, np.ndarray], logits: Mapping[str, np.ndarray], samples: Samples, settings: Settings
) -> dict[str, Ensemble]:
    """Kind -> ensemble. features: backbone -> (N, D). logits: backbone -> (N, C) of its head.

    "mean" averages the probs. "logit" trains a linear layer on the logits side by side. "feature" trains
    heads.FeatureNet on the features side by side, with the dropout of the settings.
    """
    num_classes, train = len(samples.class_names), samples.rows("train")
    found = {"mean": Ensemble(mean_logits(list(logits.values())), None)}
    x = np.concatenate(list(logits.values()), axis=1)
    head = heads.linear_head(torch.from_numpy(x[train]), num_classes, dropout=0.0, seed=settings.seed)
    found["logit"] = _trained(head, x, samples, settings, "logit ensemble")
    x = np.concatenate(list(features.values()), axis=1)
    dims = [part.shape[1] for part in features.values()]
    head = heads.feature_head(
        torch.from_numpy(x[train]), num_classes, dims=dims, dropout=settings.dropout, seed=settings.seed
    )
    found["feature"] = _trained(head, x, samples, settings, "feature ensemble")
    return found


def _trained(head: nn.Module, x: np.ndarray, samples: Samples, settings: Settings, name: str) -> Ensemble:
    trained = training.train_head(head, x, samples, settings=settings, name=name)
    return Ensemble(trained.logits, trained)


def save(ensembles: Mapping[str, Ensemble], samples: Samples, folder: Path, *, shipped: str) -> None:
    """Write `folder`, whole or not at all: <kind>/ with logits and what was trained, and shipped.json."""
    with whole_folder(folder) as temporary:
        for kind, made in ensembles.items():
            if made.trained:
                training.save(made.trained, samples, temporary / kind)
            else:
                save_logits(
                    Logits(tuple(samples.ids), samples.class_names, made.logits), temporary / kind / "logits.npz"
                )
        write_json(temporary / "shipped.json", {"shipped": shipped, "kinds": list(ensembles)})


def summary(ensembles: Mapping[str, Ensemble], samples: Samples, *, shipped: str) -> dict[str, object]:
    """Which one is shipped, and accuracy and log loss of each on validation."""
    scores = {kind: evaluation.score(made.logits, samples, split="val") for kind, made in ensembles.items()}
    return {"shipped": shipped, "val": scores}


def mean_logits(logits: Sequence[np.ndarray]) -> np.ndarray:
    """(N, C) float32 log of the mean over models of their probs."""
    probs = np.mean([softmax(part) for part in logits], axis=0)
    return np.log(np.clip(probs, 1e-30, 1)).astype(np.float32)


def choose(kind: str, ensembles: Mapping[str, Ensemble], samples: Samples) -> str:
    """`kind` itself, or for "best" the ensemble with the lowest log loss on validation, the first of several."""
    if kind != BEST:
        return kind
    return min(ensembles, key=lambda name: evaluation.score(ensembles[name].logits, samples, split="val")["log_loss"])
