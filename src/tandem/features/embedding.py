"""A backbone's pass over images as a work: what it depends on, the network that it holds, and its batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tandem.cache.recipe import kernel_choices, make_kernel_choices
from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor, Facts, Share, Started, Work
from tandem.features.engines.base import Engine
from tandem.features.extract import extract
from tandem.features.recipe import backbone_recipe
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.scaling import Scale, scale_by_torch
from tandem.types import Encoded

_BATCH_IMAGES, _BATCH_VIEWS = 512, 1024  # at most: a network drains at the end of each, and a lost one is done again


class Loaded(NamedTuple):
    """An engine, ready to compute. dim: of its features. digest: sha256 of the network that it runs."""

    engine: Engine
    dim: int
    digest: str


@dataclass(frozen=True)
class Extractor:
    """recipe: all that the bytes of features depend on, their image apart. load: called if any is missing.

    scale: how images are scaled, with torch or without.
    """

    recipe: Mapping[str, object]
    load: Callable[[], Loaded]
    scale: Scale = scale_by_torch


@dataclass(frozen=True)
class Compute:
    """device, batch_size, workers: of runtime; threads of each process. executor: this machine, or a cluster."""

    device: str
    batch_size: int
    workers: int
    executor: Executor = LOCAL


@dataclass(frozen=True)
class EnginePass(Work[Encoded, np.ndarray]):
    """By an extractor. A row: (tta_views, dim) float32. name: of the backbone. batch_size, workers: see extract."""

    name: str
    extractor: Extractor
    settings: ExtractSettings
    batch_size: int
    workers: int

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return f"extract {self.name}"

    @property
    def share(self) -> Share:
        """All of a machine: the engine has a thread on each of its cores."""
        return Share(None)

    def facts(self) -> Facts:
        """The recipe."""
        return self.extractor.recipe

    def start(self) -> Started[Encoded, np.ndarray]:
        """Load the engine. What was made is what ResultStore keeps of it."""
        engine, dim, digest = self.extractor.load()

        def rows(images: Sequence[Encoded]) -> Iterator[np.ndarray]:
            batches = extract(
                images,
                engine=engine,
                settings=self.settings,
                batch_size=self.batch_size,
                workers=self.workers,
                name=self.name,
                scale=self.extractor.scale,
            )
            for batch in batches:
                yield from batch

        return Started({"engine": engine.name, "dim": dim, "digest": digest}, rows)

    def batches(self, items: Sequence[Encoded], num_batches: int) -> Iterator[Sequence[Encoded]]:
        """Of whole passes, for those that are smaller are padded."""
        most = max(1, min(_BATCH_IMAGES, _BATCH_VIEWS // self.settings.tta_views))
        size = min(most, max(self.batch_size, -(-len(items) // num_batches)))
        return (items[at : at + size] for at in range(0, len(items), size))


@dataclass(frozen=True)
class BackbonePass(Work[Encoded, np.ndarray]):
    """By a frozen backbone; it is pickled without its network, which each process loads.

    reads_files: whether images, or weights, are files of the project's folder. environment: what chooses kernels and
    threads where the stage runs, and so in all processes.
    """

    name: str
    weights: BackboneSettings
    settings: ExtractSettings
    device: str
    batch_size: int
    workers: int
    reads_files: bool = True
    environment: Mapping[str, str] = field(default_factory=kernel_choices)

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return f"extract {self.name}"

    @property
    def share(self) -> Share:
        """All of a machine, or one of its GPUs."""
        return Share(None, may_use_gpu=self.device in ("auto", "cuda"))

    @property
    def needs_folder(self) -> bool:
        """Not for images from elsewhere and weights that are no file."""
        return self.reads_files

    def facts(self) -> Facts:
        """The recipe of this machine, under that environment."""
        return {**self._pass.facts(), "environment": dict(self.environment)}

    def start(self) -> Started[Encoded, np.ndarray]:
        """Load the backbone, under that environment."""
        make_kernel_choices(self.environment)
        return self._pass.start()

    def batches(self, items: Sequence[Encoded], num_batches: int) -> Iterator[Sequence[Encoded]]:
        """Of whole passes."""
        return self._pass.batches(items, num_batches)

    @property
    def extractor(self) -> Extractor:
        """Of the backbone, under the environment of whichever process asks."""
        return backbone_extractor(
            self.name, self.weights, self.settings, device=self.device, batch_size=self.batch_size
        )

    @property
    def _pass(self) -> EnginePass:
        return EnginePass(self.name, self.extractor, self.settings, self.batch_size, self.workers)


def backbone_extractor(
    name: str, weights: BackboneSettings, settings: ExtractSettings, *, device: str, batch_size: int
) -> Extractor:
    """A frozen backbone by the engine of the settings. device, batch_size: of runtime."""

    def load() -> Loaded:
        from tandem.features.backbones.backbone import load_backbone  # torch costs seconds
        from tandem.features.engines.engine import start_engine

        backbone = load_backbone(name, weights, seed=settings.seed, size_px=settings.size_px)
        engine = start_engine(
            backbone, engine=settings.engine, size_px=settings.size_px, batch_size=batch_size, device=device
        )
        return Loaded(engine, backbone.dim, backbone.digest)

    return Extractor(backbone_recipe(name, weights, settings, device=device, batch_size=batch_size), load)
