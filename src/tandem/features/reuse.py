"""Each image through a network once: features that were computed before come from a store, and only the others from it.

What comes is the same bytes as from an empty store. Where all is stored, no network is built and no torch loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tandem.cache.store import BYTES_A_GB, ResultStore, cache_dir
from tandem.errors import DataError
from tandem.features.engines.base import Engine
from tandem.features.extract import extract
from tandem.features.recipe import backbone_recipe
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.scaling import Scale, scale_by_torch
from tandem.types import Encoded

_IMAGES_A_STEP = 256  # that are read from the store, or written to it, at once


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
class Extraction:
    """batches: (n, tta_views, dim) float32, once, in the order of the images. num_new: of them that are computed.

    engine: its name. digest: sha256 of the network.
    """

    batches: Iterator[np.ndarray]
    dim: int
    engine: str
    digest: str
    num_images: int
    num_new: int

    def in_words(self) -> str:
        """How many images, how many of them new, and by which engine."""
        counts = f"{self.num_images:,} images, {self.num_new:,} of them new"
        return f"{counts}, {self.dim} features each, by {self.engine}"


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


def extract_backbone(
    name: str,
    weights: BackboneSettings,
    settings: ExtractSettings,
    images: Sequence[Encoded],
    *,
    ids: Sequence[str],
    device: str,
    batch_size: int,
    workers: int,
    max_gb: float,
) -> Extraction:
    """extract_once by a frozen backbone. name: its own, or what it is called here."""
    return extract_once(
        images,
        ids=ids,
        extractor=backbone_extractor(name, weights, settings, device=device, batch_size=batch_size),
        settings=settings,
        batch_size=batch_size,
        workers=workers,
        name=name,
        max_gb=max_gb,
    )


def extract_once(
    images: Sequence[Encoded],
    *,
    ids: Sequence[str],
    extractor: Extractor,
    settings: ExtractSettings,
    batch_size: int,
    workers: int,
    name: str,
    max_gb: float,
) -> Extraction:
    """The features of images; ids: digests of their bytes, by which they are stored. name: of the backbone.

    max_gb: of all stores together; 0 uses none. Memory is that of a few hundred images, however many there are.
    """
    store = ResultStore(cache_dir(), extractor.recipe, max_bytes=int(max_gb * BYTES_A_GB))
    run = _Run(images, ids, settings, batch_size, workers, name, extractor, store)
    is_stored = store.intact(ids)
    if store.made is not None and is_stored.all():
        made = store.made
    else:
        made = run.made
        if store.made != made:
            is_stored[:] = False
        row_bytes = 4 * settings.tta_views * run.loaded.dim
        store.prepare(made, ids=ids, num_new=int((~is_stored).sum()), row_bytes=row_bytes)
    num_new = int((~is_stored).sum())
    return Extraction(run.batches(is_stored, made), num_images=len(ids), num_new=num_new, **made)


@dataclass(frozen=True)
class _Run:
    images: Sequence[Encoded]
    ids: Sequence[str]
    settings: ExtractSettings
    batch_size: int
    workers: int
    name: str
    extractor: Extractor
    store: ResultStore

    @cached_property
    def loaded(self) -> Loaded:
        return self.extractor.load()

    @property
    def made(self) -> dict[str, Any]:
        """What the recipe came to, as the store keeps it."""
        engine, dim, digest = self.loaded
        return {"engine": engine.name, "dim": dim, "digest": digest}

    def batches(self, is_stored: np.ndarray, made: Mapping[str, Any]) -> Iterator[np.ndarray]:
        """In order, a step at a time; the missing ones are computed as one stream, which runs ahead."""
        try:
            fresh = self._compute(np.flatnonzero(~is_stored).tolist())
            for at in range(0, len(self.ids), _IMAGES_A_STEP):
                rows = range(at, min(at + _IMAGES_A_STEP, len(self.ids)))
                stored = self.store.read([self.ids[row] for row in rows if is_stored[row]])
                new = {self.ids[row]: next(fresh) for row in rows if not is_stored[row]}
                if lost := [row for row in rows if is_stored[row] and self.ids[row] not in stored]:
                    new |= self._compute_lost(lost, made)
                self.store.write(list(new), np.array(list(new.values())))
                both = stored | new
                yield np.stack([both[self.ids[row]].reshape(self.settings.tta_views, -1) for row in rows])
        finally:
            self.store.close()

    def _compute(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """(tta_views, dim) of each of these images."""
        if len(rows):
            batches = extract(
                [self.images[row] for row in rows],
                engine=self.loaded.engine,
                settings=self.settings,
                batch_size=self.batch_size,
                workers=self.workers,
                name=self.name,
                scale=self.extractor.scale,
            )
            for batch in batches:
                yield from batch

    def _compute_lost(self, rows: Sequence[int], made: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Id -> features of images that were stored at the start: another process may have made room since."""
        if self.made != made:
            raise DataError(
                f"the features of {self.name} were stored by {made['engine']}, and {self.loaded.engine.name} "
                "is what computes now, as for lack of memory; run the stage again"
            )
        return dict(zip((self.ids[row] for row in rows), self._compute(rows), strict=True))
