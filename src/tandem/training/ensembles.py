"""Combine several models: weighted means of their probs, linear layers on their logits, or a network on their features.

Which one is selected is decided on validation. Weights and temperatures are fitted there too, so a kind is judged by
what it reaches on folds of validation that it was not fitted to.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tandem.evaluation import calibration
from tandem.evaluation.metrics import log_losses, softmax
from tandem.evaluation.scores import score
from tandem.files import atomic_dir, write_json
from tandem.tables.features import load_features_of
from tandem.tables.logits import Logits, load_logits_of, load_model_library, save_logits
from tandem.tables.samples import Samples
from tandem.tables.splits import stratified_group_folds
from tandem.training import averaging, networks
from tandem.training import heads as training
from tandem.training.heads import HeadTask, Trained
from tandem.training.loggers import EpochLogger, LoggerFactory, ignore_epoch, no_logger
from tandem.training.settings import EnsembleSettings, TrainSettings

BEST = "best"
_FOLDS = 5  # of validation

_Weigh = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Ensemble:
    """logits: (N, C) float32 for all images, calibrated on validation.

    held_out: (n,) log loss of each validation row, by weights and temperature fitted to other folds. weights: model ->
    share of its probs, for a weighted mean. trained: None for that.
    """

    logits: np.ndarray
    held_out: np.ndarray
    weights: Mapping[str, float] | None = None
    trained: Trained | None = None


@dataclass(frozen=True)
class EnsembleInputs:
    """What is combined, in the order of samples. features: backbone -> (N, D) or (N, k, D). logits: backbone -> (N, C).

    out_of_fold: backbone -> (N, C), on the train rows by heads that have not seen them. library: further models ->
    (N, C), to be selected from.
    """

    features: Mapping[str, np.ndarray]
    logits: Mapping[str, np.ndarray]
    out_of_fold: Mapping[str, np.ndarray]
    library: Mapping[str, np.ndarray]


def load_inputs(
    backbones: Iterable[str], samples: Samples, *, features_dir: Path, train_dir: Path, library_path: Path
) -> EnsembleInputs:
    """What the stages before wrote: features and heads of each backbone, and the models of the study."""
    folders = {name: train_dir / name for name in backbones}
    ids, class_names = samples.ids, samples.class_names
    return EnsembleInputs(
        features=load_features_of(features_dir, folders, ids=ids),
        logits=load_logits_of(folders, ids=ids, class_names=class_names),
        out_of_fold=load_logits_of(folders, ids=ids, class_names=class_names, stem="out_of_fold"),
        library=load_model_library(library_path, ids=ids, class_names=class_names),
    )


def combine_all(
    inputs: EnsembleInputs,
    samples: Samples,
    train: TrainSettings,
    ensemble: EnsembleSettings,
    *,
    logger: LoggerFactory = no_logger,
) -> dict[str, Ensemble]:
    """Kind -> ensemble; all but "greedy" of one model a backbone.

    "mean" and "weighted" are means of probs; "greedy" is one too, of models selected from the library as well. "stack"
    is a logistic regression on out-of-fold logits. "logit" and "feature" are those of `recipe`. logger: of those two.
    """
    settings, own = replace(train, dropout=ensemble.dropout), dict(inputs.logits)
    stacked = np.concatenate(list(inputs.out_of_fold.values()), axis=1)
    applied = np.concatenate(list(own.values()), axis=1)
    rows = samples.train.rows
    applied[rows] = stacked[rows]
    stack = training.train_head(applied, samples, settings=replace(settings, head="logistic"), name="stack")
    return {
        **weighted_means(own, samples),
        "greedy": weighted_mean(
            own | dict(inputs.library), samples, partial(averaging.greedy_weights, seed=settings.seed)
        ),
        "stack": from_trained(stack, samples),
        **seed_ensembles(inputs.features, own, samples, settings=settings, width=ensemble.width, track=logger),
    }


def weighted_means(logits: Mapping[str, np.ndarray], samples: Samples) -> dict[str, Ensemble]:
    """ "mean": all alike but clearly worse models. "weighted": the weights with the lowest log loss on validation."""
    return {
        "mean": weighted_mean(logits, samples, averaging.equal_weights),
        "weighted": weighted_mean(logits, samples, averaging.max_likelihood_weights),
    }


def seed_ensembles(
    features: Mapping[str, np.ndarray],
    logits: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    settings: TrainSettings,
    width: int,
    track: LoggerFactory = no_logger,
) -> dict[str, Ensemble]:
    """The two of the recipe that this project began from.

    "logit" trains a linear layer on the logits side by side. "feature" trains networks.FeatureNet on the features side by
    side, with the dropout of the settings; width: of its projections.
    """
    logit = logit_task(logits, samples, settings=settings, on_epoch=track("logit"))
    net = feature_net(features, samples, settings=settings, width=width, on_epoch=track("feature"))
    return {"logit": from_trained(training.fit_linear([logit])[0], samples), "feature": from_trained(net, samples)}


def logit_task(
    logits: Mapping[str, np.ndarray], samples: Samples, *, settings: TrainSettings, on_epoch: EpochLogger = ignore_epoch
) -> HeadTask:
    """What the "logit" ensemble is trained on; without dropout, of so few columns."""
    x = training.as_float32(np.concatenate(list(logits.values()), axis=-1))
    return HeadTask(x, samples, replace(settings, dropout=0.0), "logit ensemble", on_epoch)


def feature_net(
    features: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    settings: TrainSettings,
    width: int,
    on_epoch: EpochLogger = ignore_epoch,
) -> Trained:
    """The "feature" ensemble."""
    x = training.as_float32(np.concatenate(list(features.values()), axis=-1))
    dims, num_classes = [x.shape[-1] for x in features.values()], len(samples.class_names)

    def net(train: torch.Tensor) -> nn.Module:
        return networks.feature_head(
            train, num_classes, dims=dims, width=width, dropout=settings.dropout, seed=settings.seed
        )

    return training.fit_network(HeadTask(x, samples, settings, "feature ensemble", on_epoch), net)


def weighted_mean(logits: Mapping[str, np.ndarray], samples: Samples, weights_of: _Weigh) -> Ensemble:
    """A weighted mean of probs. weights_of: own probs (M, n) of validation rows -> weights (M,)."""
    stacked, target = np.stack(list(logits.values())), samples.val.targets
    own = averaging.own_probs(stacked[:, samples.val.rows], target)

    def pooled(fitted: np.ndarray) -> np.ndarray:
        return averaging.average_probs(stacked, weights_of(own[:, fitted]))

    everything = np.arange(len(target))
    weights = weights_of(own)
    found = {name: float(weight) for name, weight in zip(logits, weights, strict=True) if weight > 0}
    return Ensemble(
        _temperature_scaled(pooled(everything), samples, everything), _held_out(pooled, samples), weights=found
    )


def from_trained(trained: Trained, samples: Samples) -> Ensemble:
    """An ensemble that was trained on the train rows; validation gave it no more than its temperature and its epoch."""
    return Ensemble(trained.logits, _held_out(lambda _: trained.logits, samples), trained=trained)


def save_ensembles(ensembles: Mapping[str, Ensemble], samples: Samples, folder: Path, *, selected: str) -> None:
    """Write `folder`, whole or not at all: <kind>/ with logits and weights or what was trained, and selected.json."""
    with atomic_dir(folder) as temporary:
        for kind, made in ensembles.items():
            if made.trained:
                training.save_head(made.trained, samples, temporary / kind)
            else:
                table = Logits(tuple(samples.ids), samples.class_names, made.logits)
                save_logits(table, temporary / kind / "logits.npz")
                write_json(temporary / kind / "weights.json", made.weights)
        write_json(temporary / "selected.json", {"selected": selected, "kinds": list(ensembles)})


def ensemble_summary(ensembles: Mapping[str, Ensemble], samples: Samples, *, selected: str) -> dict[str, object]:
    """Which one is selected, the scores of each on validation, and the weights of the means."""
    return {
        "selected": selected,
        "val": {
            kind: {
                **score(made.logits, samples, split="val"),
                "held_out_log_loss": float(made.held_out.mean()),
            }
            for kind, made in ensembles.items()
        },
        "weights": {kind: made.weights for kind, made in ensembles.items() if made.weights},
    }


def select_ensemble(kind: str, ensembles: Mapping[str, Ensemble], samples: Samples) -> str:
    """`kind` itself, or for "best" the first ensemble that is not clearly worse on validation than the best one.

    Not clearly: its held-out log loss is higher by at most two standard errors of the difference, over groups. So
    simpler kinds come first, and a small validation split does not pick by chance (after the rule of Breiman et al.
    1984, section 3.4.3). Kinds whose models were stopped or selected on validation look better there than they are.
    """
    if kind != BEST:
        return kind
    lowest = min((made.held_out for made in ensembles.values()), key=np.mean)
    groups = samples.val.groups
    excess = {name: made.held_out - lowest for name, made in ensembles.items()}
    return next(
        name
        for name, each in excess.items()
        if each.mean() <= averaging.NUM_STANDARD_ERRORS * _standard_error(each, groups)
    )


def _standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Of the mean of values (n,) whose rows are alike within groups (n,)."""
    group_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums = np.bincount(group_of, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))


def _temperature_scaled(logits: np.ndarray, samples: Samples, fitted: np.ndarray) -> np.ndarray:
    """(N, C) float32: divided by the temperature of the validation rows `fitted`, counted among those of validation."""
    rows, target = samples.val.rows[fitted], samples.val.targets[fitted]
    return calibration.apply_temperature(logits, calibration.fit_temperature(logits[rows], target=target))


def _held_out(logits_of: Callable[[np.ndarray], np.ndarray], samples: Samples) -> np.ndarray:
    """(n,) log loss of each validation row, each fold of groups by logits_of(the others) and their temperature."""
    rows, target = samples.val.rows, samples.val.targets
    fold_of = stratified_group_folds(target, samples.val.groups, num_folds=_FOLDS, seed=0)
    losses = np.zeros(len(rows))
    for fold in np.unique(fold_of):
        held, fitted = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        logits = _temperature_scaled(logits_of(fitted), samples, fitted)[rows[held]]
        losses[held] = log_losses(target=target[held], probs=softmax(logits))
    return losses
