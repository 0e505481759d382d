"""Each image through a network once: features that were computed before come from a store, and only the others from it.

What comes is the same bytes as from an empty store. Where all is stored, no network is built and no torch loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.cache.store import BYTES_A_GB, ResultStore, cache_dir
from tandem.cluster.local import LocalComputation
from tandem.cluster.work import Facts
from tandem.errors import DataError
from tandem.features.embedding import BackbonePass, Compute, EnginePass, Extractor
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.features.shared_pass import SharedComputation, share_decoding
from tandem.tables.copied import CopiedImage
from tandem.types import Encoded

_IMAGES_A_STEP = 256  # that are read from the store, or written to it, at once


@dataclass(frozen=True)
class Extraction:
    """batches: (n, tta_views, dim) float32, once, in the order of the images. num_new: of them that are computed.

    engine: its name. digest: sha256 of the network. also: other backbones, whose features of the new ones are kept too.
    """

    batches: Iterator[np.ndarray]
    dim: int
    engine: str
    digest: str
    num_images: int
    num_new: int
    also: tuple[str, ...] = ()

    def in_words(self) -> str:
        """How many images, how many of them new, and by which engine."""
        counts = f"{self.num_images:,} images, {self.num_new:,} of them new"
        also = f"; {', '.join(self.also)} embedded the new ones in the same pass" if self.also else ""
        return f"{counts}, {self.dim} features each, by {self.engine}{also}"


def extract_backbone(
    name: str,
    weights: BackboneSettings,
    settings: ExtractSettings,
    images: Sequence[Encoded],
    *,
    ids: Sequence[str],
    compute: Compute,
    max_gb: float,
    others: Mapping[str, BackboneSettings] | None = None,
) -> Extraction:
    """extract_once by a frozen backbone. name: its own, or what it is called here. compute: where.

    others: backbones that will be asked for the same images; those that lack what this one lacks compute it in the same
    pass, and their features are stored, see shared_pass.py. What is returned does not depend on them.
    """
    are_copied = all(isinstance(image, CopiedImage) for image in images)

    def pass_of(name: str, weights: BackboneSettings) -> BackbonePass:
        reads_files = weights.sha256 is not None or not are_copied
        return BackbonePass(name, weights, settings, compute.device, compute.batch_size, compute.workers, reads_files)

    work = pass_of(name, weights)
    recipe = compute.executor.facts(work)

    def start(missing: Sequence[str]) -> SharedComputation:
        return share_decoding(
            work,
            [pass_of(*other) for other in (others or {}).items()],
            executor=compute.executor,
            recipe=recipe,
            missing=missing,
            num_images=len(ids),
            max_bytes=int(max_gb * BYTES_A_GB),
        )

    return _extract_missing(name, images, ids, start, recipe=recipe, settings=settings, max_gb=max_gb)


def extract_all(
    backbones: Mapping[str, BackboneSettings],
    settings: ExtractSettings,
    images: Sequence[Encoded],
    *,
    ids: Sequence[str],
    compute: Compute,
    max_gb: float,
) -> dict[str, np.ndarray]:
    """Backbone -> (N, tta_views, dim) float32 in memory, by extract_backbone; an image is decoded once for all."""
    found = dict[str, np.ndarray]()
    for name, weights in backbones.items():
        others = {other: each for other, each in backbones.items() if other != name and other not in found}
        extraction = extract_backbone(
            name, weights, settings, images, ids=ids, compute=compute, max_gb=max_gb, others=others
        )
        found[name] = np.concatenate(list(extraction.batches))
    return found


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
    work = EnginePass(name, extractor, settings, batch_size, workers)

    def start(_missing: Sequence[str]) -> SharedComputation:
        return SharedComputation(name, LocalComputation(work))

    return _extract_missing(name, images, ids, start, recipe=extractor.recipe, settings=settings, max_gb=max_gb)


def _extract_missing(
    name: str,
    images: Sequence[Encoded],
    ids: Sequence[str],
    start: Callable[[Sequence[str]], SharedComputation],
    *,
    recipe: Facts,
    settings: ExtractSettings,
    max_gb: float,
) -> Extraction:
    """start: the computation, of the ids that are missing."""
    store = ResultStore(cache_dir(), recipe, max_bytes=int(max_gb * BYTES_A_GB))
    is_stored = store.intact(ids)
    computation = start([ids[row] for row in np.flatnonzero(~is_stored).tolist()])
    run, also = _Run(name, images, ids, settings.tta_views, computation, store), tuple[str, ...]()
    if store.made is not None and is_stored.all():
        made: Facts = store.made
    else:
        made = computation.made
        if store.made != made:
            is_stored[:] = False
        row_bytes, num_new = 4 * settings.tta_views * made["dim"], int((~is_stored).sum())
        store.prepare(made, ids=ids, num_new=num_new, row_bytes=row_bytes)
        also = computation.prepare(ids=ids, num_new=num_new, tta_views=settings.tta_views)
    num_new = int((~is_stored).sum())
    return Extraction(run.batches(is_stored, made), num_images=len(ids), num_new=num_new, also=also, **made)


@dataclass(frozen=True)
class _Run:
    name: str
    images: Sequence[Encoded]
    ids: Sequence[str]
    tta_views: int
    computation: SharedComputation
    store: ResultStore

    def batches(self, is_stored: np.ndarray, made: Facts) -> Iterator[np.ndarray]:
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
                self.computation.keep()
                both = stored | new
                yield np.stack([both[self.ids[row]].reshape(self.tta_views, -1) for row in rows])
        finally:
            self.store.close()
            self.computation.close()

    def _compute(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """(tta_views, dim) of each of these images."""
        return self.computation.rows([self.images[row] for row in rows], [self.ids[row] for row in rows])

    def _compute_lost(self, rows: Sequence[int], made: Mapping[str, object]) -> dict[str, np.ndarray]:
        """Id -> features of images that were stored at the start: another process may have made room since."""
        if (now := self.computation.made) != made:
            raise DataError(
                f"the features of {self.name} were stored by {made['engine']}, and {now['engine']} "
                "is what computes now, as for lack of memory; run the stage again"
            )
        return dict(zip((self.ids[row] for row in rows), self._compute(rows), strict=True))
