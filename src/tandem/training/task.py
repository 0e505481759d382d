"""What every kind of head is trained on, and what a fit gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from tandem.tables.samples import Samples, Split
from tandem.tables.splits import require_every_class
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch
from tandem.training.settings import TrainSettings


class FusionTask(NamedTuple):
    """A network of feature fusion. dims: features of each backbone, side by side. width, dropout: of its layers."""

    dims: tuple[int, ...]
    width: int
    dropout: float


@dataclass(frozen=True, eq=False)
class HeadTask:
    """What one head is trained on, and how.

    features: (N, D) float32 of all images, or (N, k, D) of k TTA views of each: a view is a row in training, and logits
    are means over the views. train, val: the images it is fitted to and chosen on. on_epoch: called with each epoch.
    fusion: what is trained instead of settings.head.
    """

    features: np.ndarray
    train: Split
    val: Split
    num_classes: int
    settings: TrainSettings
    name: str
    on_epoch: EpochLogger = ignore_epoch
    fusion: FusionTask | None = None

    @property
    def num_views(self) -> int:
        """k, or 1."""
        return self.features.shape[1] if self.features.ndim == 3 else 1

    @property
    def table(self) -> np.ndarray:
        """(N * k, D) the features, a row a view."""
        return self.features.reshape(-1, self.features.shape[-1])

    def rows_of(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """(n * k,) row numbers in the table of the views of a split, and their targets."""
        rows = split.rows[:, None] * self.num_views + np.arange(self.num_views)
        return rows.ravel(), split.targets.repeat(self.num_views)


class Head(Protocol):
    """Features to logits."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, D) float32 to (n, C) float32; of (n, k, D) TTA views, the mean over the k views."""
        ...

    def scaled(self, temperature: float) -> "Head":
        """The head whose logits are divided by a temperature."""
        ...

    def save(self, folder: Path) -> None:
        """Write the head into a folder as a file that is named head."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A head as it was fitted.

    curve: one line an epoch; empty without epochs. choices: what validation or folds chose.
    """

    head: Head
    curve: tuple[Epoch, ...] = ()
    choices: Mapping[str, float] = field(default_factory=dict)


def head_task(
    features: np.ndarray,
    samples: Samples,
    settings: TrainSettings,
    name: str,
    on_epoch: EpochLogger = ignore_epoch,
) -> HeadTask:
    """The task of a head on features, which may be mapped from a file and are read into memory as float32.

    features: see HeadTask. Raises LeakageError where a class has no image in a split.
    """
    require_every_class(samples.labels.tolist(), samples.splits.tolist(), class_names=samples.class_names)
    in_memory, num_classes = np.array(features, dtype=np.float32), len(samples.class_names)
    return HeadTask(in_memory, samples.train, samples.val, num_classes, settings, name, on_epoch)
