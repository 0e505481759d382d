"""What cluster.py gives to nodes beside images to decode and embed: the duplicate search, and a fine-tune."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from exact_search import generate, in_new_process
from tandem.cluster.work import Executor
from tandem.curation.duplicates.by_features.search import similar_and_nearest
from tandem.curation.duplicates.hashes import hash_pairs
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import dir_sha256
from tandem.finetune.finetune import finetune
from tandem.finetune.job import FinetuneJob
from tandem.tables.features import write_features
from tandem.tables.samples import Sample, Samples
from tandem.training.settings import TrainSettings
from tandem.types import Encoded

NUM_SEARCHED, DIM = 26_000, 1280  # just too many to be compared all
MIN_SIMILARITY, MAX_DISTANCE = 0.9, 60  # of presets/vehicles.yaml
NEIGHBORS, HASH_NEIGHBORS = 5, 2
NUM_TUNED, EPOCHS = 200, 2
CLASSES = ("one", "other")
SPLITS = {0: "val", 1: "test"}  # by the tenths of the images; the others are of train
TRAIN = TrainSettings(
    trainable_backbone_layers=5,
    head="linear",
    lr=0.001,
    batch_size=32,
    epochs=EPOCHS,
    patience=EPOCHS,
    weight_decay=0.0,
    dropout=0.0,
    scheduler="none",
    balance="sampler",
    folds=2,
    seed=0,
)


@dataclass(frozen=True)
class Searches:
    """Of features in a file (exact_search.py), and of random hashes of which some are near to one another."""

    folder: Path
    count: int = NUM_SEARCHED

    @cached_property
    def features(self) -> np.ndarray:
        path = self.folder / "features.npy"
        in_new_process(generate, path, self.count, DIM)
        return np.load(path, mmap_mode="r")

    @cached_property
    def hashes(self) -> np.ndarray:
        rng = np.random.default_rng(0)
        hashes = rng.integers(256, size=(self.count, 8, 32), dtype=np.uint8)
        hashes[-1000:, 3] = hashes[:1000, 0] ^ rng.choice(np.array([0, 1, 64], np.uint8), (1000, 32))
        return hashes

    def found(self, executor: Executor) -> str:
        """Digest of all pairs."""
        similar, nearest = similar_and_nearest(
            self.features, min_similarity=MIN_SIMILARITY, k=NEIGHBORS, exact_to=0, executor=executor
        )
        by_hash = hash_pairs(
            self.hashes, max_distance=MAX_DISTANCE, num_neighbors=HASH_NEIGHBORS, exact_to=0, executor=executor
        )
        parts = (similar.first, similar.second, similar.similarity, nearest, by_hash.similar, by_hash.nearest)
        return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Tuning:
    """Of all layers of a backbone with random weights, on the first of these images."""

    images: Sequence[Encoded]
    folder: Path
    backbone: str
    extract: ExtractSettings

    @property
    def num_seen(self) -> int:
        """Images, in all epochs."""
        return len(self.job.samples.train) * EPOCHS

    @cached_property
    def job(self) -> FinetuneJob:
        from finetuning import SETTINGS  # it loads torch, which takes the cores that the process has at that moment

        settings = replace(SETTINGS, num_micro_batches=2, epochs=EPOCHS, warmup_epochs=1, precision="float32")
        images = list(self.images[:NUM_TUNED])
        rows = [
            Sample(f"{n:06}", CLASSES[n % 2], "drawn", f"group{n}", SPLITS.get(n // 2 % 10, "train"))
            for n in range(len(images))
        ]
        samples, extracted = Samples.of(CLASSES, rows), self.folder / "extracted"
        write_features(
            extracted,
            ids=samples.ids,
            dim=DIM,
            batches=[np.ones((len(images), 1, DIM), np.float32)],
            meta={"backbone": self.backbone},
        )
        return FinetuneJob(
            name=self.backbone,
            samples=samples,
            images=images,
            extracted=extracted,
            backbone=BackboneSettings("random"),
            extract=self.extract,
            finetune=settings,
            train=TRAIN,
            device="cpu",
            workers=2,
            batch_size=16,
        )

    def tuned(self, executor: Executor) -> str:
        """Digest of what the stage writes."""
        with TemporaryDirectory(dir=self.folder) as name:
            finetune(self.job, Path(name) / "tuned", checkpoints_dir=Path(name) / "kept", executor=executor)
            return dir_sha256(Path(name) / "tuned")
