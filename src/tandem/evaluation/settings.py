"""`evaluate` in params.yaml: confidence intervals, selective prediction, prediction sets, repeated splits."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from tandem.types import ProperFraction, Section, Seed


@dataclass(frozen=True)
class EvaluateSettings(Section):
    """num_resamples: of the bootstrap over groups, from the seed. max_error: wanted among the predictions kept.

    set_coverage: wanted fraction of prediction sets that hold the class. num_splits: splits on which all models are
    trained again; 0 is none.
    """

    num_resamples: Annotated[int, Ge(100), Le(100_000)]
    max_error: ProperFraction
    set_coverage: ProperFraction
    num_splits: Annotated[int, Ge(0), Le(100)]
    seed: Seed
