"""What a fine-tune needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.finetune.settings import FinetuneSettings
from tandem.tables.samples import Samples
from tandem.training.settings import TrainSettings
from tandem.types import Encoded


@dataclass(frozen=True)
class FinetuneJob:
    """One backbone that is fine-tuned. images: one path an image, in the order of samples.

    extracted: the folder of the frozen features. workers: threads that decode. batch_size: of a forward pass.
    """

    name: str
    samples: Samples
    images: Sequence[Encoded]
    extracted: Path
    backbone: BackboneSettings
    extract: ExtractSettings
    finetune: FinetuneSettings
    train: TrainSettings
    device: str
    workers: int
    batch_size: int

    @property
    def num_trainable_layers(self) -> int:
        """How many layers are unfrozen, 0 to 5."""
        return self.train.num_trainable_layers(self.name)
