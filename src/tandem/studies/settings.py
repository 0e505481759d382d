"""`study` in params.yaml: a grid search over learning rate and batch size."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, MinLen

from tandem.types import BatchSize, LearningRate, Section


@dataclass(frozen=True)
class StudySettings(Section):
    """num_seeds: how often each pair is trained, from train.seed on."""

    lr: Annotated[tuple[LearningRate, ...], MinLen(1)]
    batch_size: Annotated[tuple[BatchSize, ...], MinLen(1)]
    num_seeds: Annotated[int, Ge(1), Le(100)]
