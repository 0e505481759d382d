"""The models of the cells of a grid: a cell is a learning rate, a batch size and a seed.

A model of a cell depends on nothing else of the grid. Linear heads of all cells are trained at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tandem.tables.samples import Samples
from tandem.training.ensembles import EnsembleInputs, fit_feature, fit_mean, fit_weighted, logit_task
from tandem.training.heads import train_all
from tandem.training.settings import EnsembleSettings, TrainSettings
from tandem.training.task import head_task


@dataclass(frozen=True, eq=False)
class StudyData:
    """What all trainings of a study share. features: backbone -> (N, D) or (N, k, D), in the order of samples."""

    features: Mapping[str, np.ndarray]
    samples: Samples
    ensemble: EnsembleSettings

    def inputs(self, cell: TrainSettings, logits: Mapping[str, np.ndarray]) -> EnsembleInputs:
        """Of the ensembles of a cell. logits: backbone -> (N, C) of its head there."""
        return EnsembleInputs(self.samples, self.features, logits, {}, {}, cell, self.ensemble)


def head_logits(data: StudyData, *, backbone: str, cells: Sequence[TrainSettings]) -> list[np.ndarray]:
    """(N, C) logits of a backbone's head in each cell."""
    task = head_task(data.features[backbone], data.samples, cells[0], backbone)
    return [trained.logits for trained in train_all([replace(task, settings=cell) for cell in cells])]


def feature_logits(data: StudyData, *, cell: TrainSettings) -> list[np.ndarray]:
    """(N, C) logits of the feature ensemble in a cell, alone in a list."""
    return [fit_feature(data.inputs(cell, {})).logits]


def ensemble_logits(inputs: Sequence[EnsembleInputs]) -> list[dict[str, np.ndarray]]:
    """For each cell, mean, weighted and logit ensemble -> (N, C) logits."""
    trained = train_all([logit_task(of_cell) for of_cell in inputs])
    return [
        {"mean": fit_mean(of_cell).logits, "weighted": fit_weighted(of_cell).logits, "logit": logit.logits}
        for of_cell, logit in zip(inputs, trained, strict=True)
    ]
