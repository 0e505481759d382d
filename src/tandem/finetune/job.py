"""What a fine-tune needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.cache.recipe import circumstances
from tandem.cluster.work import Facts
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.finetune.settings import FinetuneSettings
from tandem.tables.samples import Samples
from tandem.training.settings import TrainSettings
from tandem.types import Encoded

_CODE = ("features", "finetune", "images", "training", "evaluation/calibration.py", "seeding.py")  # of the package
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "scipy", "pillow", "simplejpeg", "pi-heif")
_OF_LAUNCHER = "TORCHELASTIC_"  # variables, of which each process has its own
_MIN_IMAGES = 2  # of a micro-batch: BatchNorm needs them


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

    @property
    def max_processes(self) -> int:
        """As many as a batch has micro-batches."""
        num_images = min(self.finetune.batch_size, len(self.samples.train))
        return num_micro_batches(num_images, self.finetune.num_micro_batches)


def num_micro_batches(num_images: int, wanted: int) -> int:
    """Into how many a batch is divided: as many as are wanted, fewer where they would have less than two images."""
    return max(1, min(wanted, num_images // _MIN_IMAGES))


def training_facts() -> Facts:
    """What a training depends on where it runs: code, libraries, processor, and what chooses kernels and threads."""
    facts = circumstances(_CODE, _LIBRARIES)
    chosen = facts["environment"]
    assert isinstance(chosen, dict)
    return {
        **facts,
        "environment": {name: value for name, value in chosen.items() if not name.startswith(_OF_LAUNCHER)},
    }
