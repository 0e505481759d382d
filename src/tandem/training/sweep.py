"""The same models under several settings: a cell of a grid is a learning rate, a batch size and a seed.

A model of a cell depends on nothing else of the grid. Those of one kind are trained at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tandem.training.ensembles import Ensemble, EnsembleInputs, feature_task, fit_mean, fit_weighted, logit_task
from tandem.training.heads import Trained, train_all
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task


def train_heads(inputs: EnsembleInputs, *, backbone: str, cells: Sequence[TrainSettings]) -> list[Trained]:
    """A backbone's head in each cell."""
    task = head_task(inputs.features[backbone], inputs.samples, cells[0], backbone)
    return train_all([replace(task, settings=cell) for cell in cells])


def train_features(inputs: EnsembleInputs, *, cells: Sequence[TrainSettings]) -> list[Trained]:
    """The feature ensemble in each cell."""
    task = feature_task(inputs)
    return train_all([replace(task, settings=cell) for cell in cells])


def combine_heads(
    inputs: EnsembleInputs, *, cells: Sequence[TrainSettings], base: Sequence[Mapping[str, Trained]]
) -> list[dict[str, Ensemble | Trained]]:
    """For each cell, mean, weighted and logit ensemble. base: backbone -> head, for each cell."""
    by_cell = [
        replace(inputs, train=cell, logits={name: head.logits for name, head in heads.items()})
        for cell, heads in zip(cells, base, strict=True)
    ]
    trained = train_all([logit_task(of_cell) for of_cell in by_cell])
    return [
        {"mean": fit_mean(of_cell), "weighted": fit_weighted(of_cell), "logit": logit}
        for of_cell, logit in zip(by_cell, trained, strict=True)
    ]
