"""Which ensemble is selected, by its log loss on folds of validation that it was not fitted to."""

from collections.abc import Collection, Mapping

import numpy as np

from tandem.evaluation.scores import predictions_on, score
from tandem.tables.samples import Split
from tandem.training.averaging import NUM_STANDARD_ERRORS, standard_error
from tandem.training.ensembles import Ensemble
from tandem.training.settings import BEST


def select_model(kind: str, ensembles: Mapping[str, Ensemble], val: Split, *, singles: Collection[str]) -> str:
    """The ensemble `kind`, or for "best" the first that is not clearly worse on validation than the best one.

    Not clearly: the interval of the paired difference of held-out log losses, two standard errors over groups to either
    side, holds 0. So simpler kinds come first, and a small validation split does not pick by chance (after the rule of
    Breiman et al. 1984, section 3.4.3). Kinds whose models were stopped or selected on validation look better there
    than they are. A mean that weighs a single one of the base models, singles, is that model, and gets its name.
    """
    selected = _best_kind(ensembles, val) if kind == BEST else kind
    weights = ensembles[selected].weights or {}
    return next((name for name in weights if len(weights) == 1 and name in singles), selected)


def _best_kind(ensembles: Mapping[str, Ensemble], val: Split) -> str:
    lowest = min((ensemble.held_out_losses for ensemble in ensembles.values()), key=np.mean)
    excesses = {name: ensemble.held_out_losses - lowest for name, ensemble in ensembles.items()}
    return next(
        name
        for name, excess in excesses.items()
        if excess.mean() <= NUM_STANDARD_ERRORS * standard_error(excess, val.groups)
    )


def ensemble_summary(ensembles: Mapping[str, Ensemble], val: Split, *, selected: str) -> dict[str, object]:
    """Which one is selected, the scores of each on validation, and the weights of the means."""
    return {
        "selected": selected,
        "val": {
            kind: {
                **score(predictions_on(val, ensemble.logits)),
                "held_out_log_loss": float(ensemble.held_out_losses.mean()),
            }
            for kind, ensemble in ensembles.items()
        },
        "weights": {kind: ensemble.weights for kind, ensemble in ensembles.items() if ensemble.weights},
    }
