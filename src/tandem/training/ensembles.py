"""Combine several models: weighted means of their probs, linear layers on their logits, a network on their features.

Or distill them: a student of one backbone learns what their weighted mean says.

Weights are fitted on validation and, where all backbones are frozen, on train images by heads that have not seen them;
temperatures on validation. A kind is judged by what it reaches on folds of validation that it was not fitted to.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tandem.evaluation.calibration import apply_temperature, fit_temperature
from tandem.evaluation.metrics import log_losses, predict, softmax
from tandem.files import atomic_dir, read_json, write_json
from tandem.tables.features import load_features_of
from tandem.tables.logits import Logits, load_logits_of, load_model_library, save_logits
from tandem.tables.samples import Samples, Split
from tandem.tables.splits import stratified_group_folds
from tandem.training import averaging
from tandem.training.beside import beside
from tandem.training.heads import Trained, calibrated, fit_logistic_head, save_head, train_head
from tandem.training.loggers import LoggerFactory, no_logger
from tandem.training.settings import BEST, EnsembleKind, EnsembleSettings, TrainSettings
from tandem.training.task import FusionTask, HeadTask, head_task

_NUM_FOLDS = 5  # of validation
_TEACHER = 0.5  # of the student's targets, the rest is the labels'


@dataclass(frozen=True, eq=False)
class EnsembleInputs:
    """What is combined, and by which settings. Arrays are of all N images, in the order of samples.

    features: backbone -> (N, D) or (N, k, D). logits: backbone -> (N, C). out_of_fold: backbone -> (N, C), on the train
    images by heads that have not seen them. library: further models -> (N, C), to be selected from. logger: of epochs.
    """

    samples: Samples
    features: Mapping[str, np.ndarray]
    logits: Mapping[str, np.ndarray]
    out_of_fold: Mapping[str, np.ndarray]
    library: Mapping[str, np.ndarray]
    train: TrainSettings
    ensemble: EnsembleSettings
    logger: LoggerFactory = no_logger


@dataclass(frozen=True, eq=False)
class Ensemble:
    """logits: (N, C) float32 of all images, calibrated on validation.

    held_out_losses: (n,) log loss of each validation image, by weights and temperature fitted to other folds. weights:
    model -> weight of its probs, for a weighted mean, whose log is divided by the temperature. trained: None for that.
    backbone: of a student, whose features alone it reads.
    """

    logits: np.ndarray
    held_out_losses: np.ndarray
    weights: Mapping[str, float] | None = None
    temperature: float = 1.0
    trained: Trained | None = None
    backbone: str | None = None


def combine_all(inputs: EnsembleInputs) -> dict[str, Ensemble]:
    """Kind -> ensemble, of every kind. What is trained by epochs is so beside the others."""
    with beside(lambda: {kind: fit(inputs) for kind, fit in KINDS.items() if kind not in _BY_EPOCHS}) as others:
        ensembles = {kind: KINDS[kind](inputs) for kind in _BY_EPOCHS} | others()
    return {kind: ensembles[kind] for kind in KINDS}


def fit_mean(inputs: EnsembleInputs) -> Ensemble:
    """Soft voting: the mean of the probs of the base models, without those clearly worse on what they have not seen."""
    return weighted_mean(inputs.logits, inputs.samples.val, averaging.equal_weights, others=_train_probs(inputs))


def fit_weighted(inputs: EnsembleInputs) -> Ensemble:
    """The weighted mean of the probs of the base models, of maximum likelihood on what they have not seen."""
    weights_of = averaging.max_likelihood_weights
    return weighted_mean(inputs.logits, inputs.samples.val, weights_of, others=_train_probs(inputs))


def fit_greedy(inputs: EnsembleInputs) -> Ensemble:
    """Ensemble selection from a library of models, with replacement and bagged (Caruana et al. 2004), on validation."""
    models = {**inputs.logits, **inputs.library}
    return weighted_mean(models, inputs.samples.val, partial(averaging.greedy_weights, seed=inputs.train.seed))


def fit_stack(inputs: EnsembleInputs) -> Ensemble:
    """Stacking: a logistic regression on the base models' out-of-fold logits side by side (Wolpert 1992)."""
    rows = inputs.samples.train.rows
    logits = _side_by_side(inputs.logits)
    logits[rows] = _side_by_side(inputs.out_of_fold)[rows]
    return _trained(_task(inputs, "stack", logits, replace(inputs.train, head="logistic")))


def fit_logit(inputs: EnsembleInputs) -> Ensemble:
    """The seed's logit ensemble: one linear layer on the base models' logits side by side, trained by epochs."""
    return _trained(logit_task(inputs))


def fit_feature(inputs: EnsembleInputs) -> Ensemble:
    """The seed's feature fusion: a small network (see fusion/layers.py) on the backbones' features side by side."""
    return _trained(feature_task(inputs))


def fit_student(inputs: EnsembleInputs) -> Ensemble:
    """Distillation: a logistic regression on one backbone's features, fitted to what the weighted mean says.

    That is of heads that have not seen the image, and counts as much as its label (Hinton et al. 2015).
    """
    train, unseen = inputs.samples.train, _unseen_probs(inputs)
    backbone = inputs.ensemble.student
    if backbone == BEST:  # on unseen images of train too: a small validation split picks by chance
        backbone = list(inputs.logits)[int(averaging.target_log_losses(unseen).mean(axis=1).argmin())]
    task = _task(inputs, "student", inputs.features[backbone], replace(inputs.train, head="logistic"))
    stacked = np.stack([inputs.out_of_fold[name][train.rows] for name in inputs.logits])
    teacher = softmax(averaging.average_probs(stacked, averaging.max_likelihood_weights(unseen)))
    labels = np.eye(task.num_classes)[train.targets]
    fitted, _ = fit_logistic_head(task, soft_targets=(1 - _TEACHER) * labels + _TEACHER * teacher)
    return replace(_as_ensemble(calibrated(task, fitted), task.val), backbone=backbone)


KINDS: Mapping[EnsembleKind, Callable[[EnsembleInputs], Ensemble]] = {
    "mean": fit_mean,
    "weighted": fit_weighted,
    "greedy": fit_greedy,
    "stack": fit_stack,
    "logit": fit_logit,
    "feature": fit_feature,
    "student": fit_student,
}
_BY_EPOCHS: tuple[EnsembleKind, ...] = ("feature", "logit")  # whose epochs are logged


def logit_task(inputs: EnsembleInputs) -> HeadTask:
    """What the logit ensemble is trained on; without dropout, of so few columns."""
    settings = replace(inputs.train, head="linear", dropout=0.0)
    return _task(inputs, "logit", _side_by_side(inputs.logits), settings)


def feature_task(inputs: EnsembleInputs) -> HeadTask:
    """What the feature ensemble is trained on."""
    dims = tuple(features.shape[-1] for features in inputs.features.values())
    task = _task(inputs, "feature", _side_by_side(inputs.features), inputs.train)
    return replace(task, fusion=FusionTask(dims, inputs.ensemble.width, inputs.ensemble.dropout))


def _task(inputs: EnsembleInputs, kind: EnsembleKind, features: np.ndarray, settings: TrainSettings) -> HeadTask:
    return head_task(features, inputs.samples, settings, f"{kind} ensemble", inputs.logger(kind))


def _side_by_side(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays.values()), axis=-1)


def weighted_mean(
    logits: Mapping[str, np.ndarray],
    val: Split,
    weights_of: Callable[[np.ndarray], np.ndarray],
    *,
    others: np.ndarray | None = None,
) -> Ensemble:
    """A weighted mean of probs. weights_of: probs of the targets (M, n) of images -> weights (M,).

    others: the same (M, m) of images besides those of validation, to fit weights to.
    """
    others = np.empty((len(logits), 0)) if others is None else others
    stacked, target_probs = np.stack(list(logits.values())), _target_probs(logits, val)

    def averaged(fitted: np.ndarray) -> np.ndarray:
        return averaging.average_probs(stacked, weights_fitted_to(fitted))

    def weights_fitted_to(fitted: np.ndarray) -> np.ndarray:
        return weights_of(np.concatenate([target_probs[:, fitted], others], axis=1))

    weights = dict(zip(logits, weights_fitted_to(np.arange(len(val))).tolist(), strict=True))
    mean = averaged(np.arange(len(val)))
    temperature = fit_temperature(mean[val.rows], val.targets)
    return Ensemble(
        apply_temperature(mean, temperature),
        _held_out_losses(averaged, val),
        weights={name: weight for name, weight in weights.items() if weight > 0},
        temperature=temperature,
    )


def _trained(task: HeadTask) -> Ensemble:
    """An ensemble that is trained on train; validation gives it no more than its temperature and its epoch."""
    return _as_ensemble(train_head(task), task.val)


def _as_ensemble(trained: Trained, val: Split) -> Ensemble:
    return Ensemble(trained.logits, _held_out_losses(lambda _: trained.logits, val), trained=trained)


def _train_probs(inputs: EnsembleInputs) -> np.ndarray:
    """(M, m) prob that heads which have not seen a train image give to its target; m is 0 with an unfrozen backbone.

    Its features have seen the labels of train, so that it would look better than it is. Models of a study have no such
    heads, and m is 0 too.
    """
    names, is_known = list(inputs.logits), bool(inputs.out_of_fold)
    if not is_known or inputs.train.frozen(names) != names:
        return np.empty((len(names), 0))
    return _target_probs({name: inputs.out_of_fold[name] for name in names}, inputs.samples.train)


def _unseen_probs(inputs: EnsembleInputs) -> np.ndarray:
    """(M, n + m) prob of the target of each image of validation, and those of _train_probs."""
    return np.concatenate([_target_probs(inputs.logits, inputs.samples.val), _train_probs(inputs)], axis=1)


def _target_probs(logits: Mapping[str, np.ndarray], split: Split) -> np.ndarray:
    """(M, n) prob that each model gives to the target of each image of a split."""
    return averaging.probs_of_targets(np.stack([each[split.rows] for each in logits.values()]), split.targets)


def _held_out_losses(logits_of: Callable[[np.ndarray], np.ndarray], val: Split) -> np.ndarray:
    """(n,) log loss of each validation image, by weights and temperature fitted to the other folds of groups.

    logits_of: positions in validation of the images to fit to -> (N, C) logits.
    """
    fold_of = stratified_group_folds(val.targets, val.groups, num_folds=_NUM_FOLDS, seed=0)
    losses = np.zeros(len(val))
    for fold in np.unique(fold_of):
        held_out, fitted = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        logits = _calibrated(logits_of(fitted), val.subset(fitted))[val.rows[held_out]]
        losses[held_out] = log_losses(predict(logits, val.targets[held_out]))
    return losses


def _calibrated(logits: np.ndarray, split: Split) -> np.ndarray:
    """(N, C) float32 divided by the temperature that a split asks for."""
    return apply_temperature(logits, fit_temperature(logits[split.rows], split.targets))


def load_inputs(
    backbones: Iterable[str],
    samples: Samples,
    train: TrainSettings,
    ensemble: EnsembleSettings,
    *,
    features_dir: Path,
    train_dir: Path,
    library_path: Path,
    logger: LoggerFactory = no_logger,
) -> EnsembleInputs:
    """What the stages before wrote: features and heads of each backbone, and the models of the study."""
    folders, ids, class_names = {name: train_dir / name for name in backbones}, samples.ids, samples.class_names
    return EnsembleInputs(
        samples=samples,
        features=load_features_of(features_dir, folders, ids=ids),
        logits=load_logits_of(folders, ids=ids, class_names=class_names),
        out_of_fold=load_logits_of(folders, ids=ids, class_names=class_names, stem="out_of_fold"),
        library=load_model_library(library_path, ids=ids, class_names=class_names),
        train=train,
        ensemble=ensemble,
        logger=logger,
    )


def save_ensembles(ensembles: Mapping[str, Ensemble], samples: Samples, folder: Path, *, selected: str) -> None:
    """Write `folder`, whole or not at all: <kind>/ with logits and mean.json or what was trained, and selected.json."""
    with atomic_dir(folder) as temporary:
        for kind, ensemble in ensembles.items():
            if ensemble.trained:
                save_head(ensemble.trained, samples, temporary / kind)
                if ensemble.backbone:
                    write_json(temporary / kind / "student.json", {"backbone": ensemble.backbone})
            else:
                logits = Logits(samples.ids, samples.class_names, ensemble.logits)
                save_logits(logits, temporary / kind / "logits.npz")
                mean = {"weights": ensemble.weights, "temperature": ensemble.temperature}
                write_json(temporary / kind / "mean.json", mean)
        write_json(temporary / "selected.json", {"selected": selected, "kinds": list(ensembles)})


def selected_model(folder: Path) -> str:
    """Which ensemble is selected, of what save_ensembles wrote."""
    return str(read_json(folder / "selected.json", keys=("selected",))["selected"])
