"""The same models under several settings: a cell of a grid is a learning rate, a batch size and a seed.

A model of a cell depends on nothing else of the grid. Linear heads of all cells are trained at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tandem.training.ensembles import EnsembleInputs, fit_feature, fit_mean, fit_weighted, logit_task
from tandem.training.heads import train_all
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task


def head_logits(inputs: EnsembleInputs, *, backbone: str, cells: Sequence[TrainSettings]) -> list[np.ndarray]:
    """(N, C) logits of a backbone's head in each cell."""
    task = head_task(inputs.features[backbone], inputs.samples, cells[0], backbone)
    return [trained.logits for trained in train_all([replace(task, settings=cell) for cell in cells])]


def feature_logits(inputs: EnsembleInputs, *, cell: TrainSettings) -> list[np.ndarray]:
    """(N, C) logits of the feature ensemble in a cell, alone in a list."""
    return [fit_feature(replace(inputs, train=cell)).logits]


def ensemble_logits(
    inputs: EnsembleInputs, *, cells: Sequence[TrainSettings], base: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """For each cell, mean, weighted and logit ensemble -> (N, C) logits. base: backbone -> logits, for each cell."""
    by_cell = [replace(inputs, train=cell, logits=logits) for cell, logits in zip(cells, base, strict=True)]
    trained = train_all([logit_task(of_cell) for of_cell in by_cell])
    return [
        {"mean": fit_mean(of_cell).logits, "weighted": fit_weighted(of_cell).logits, "logit": logit.logits}
        for of_cell, logit in zip(by_cell, trained, strict=True)
    ]
