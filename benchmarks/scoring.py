"""The scores of the preset's head on features."""

import numpy as np

from tandem.evaluation.scores import predictions_on, score
from tandem.tables.samples import Samples
from tandem.training.heads import train_head
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task


def head_scores(features: np.ndarray, samples: Samples, settings: TrainSettings) -> dict[str, float]:
    """On test, of a head that is trained on the other splits. features: (N, D), or (N, k, D) of k TTA views."""
    trained = train_head(head_task(features, samples, settings, "head"))
    return score(predictions_on(samples.test, trained.logits))
