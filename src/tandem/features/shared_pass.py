"""Images decoded once for several backbones: what one of them lacks, the others that lack it too compute beside it.

Theirs goes to their stores, where their own stages find it. Nothing else depends on it: without a store, or with one
that is too small, each backbone decodes for itself, and the features are the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from tandem.cache.recipe import make_kernel_choices
from tandem.cache.store import ResultStore, cache_dir
from tandem.cluster.work import Computation, Executor, Facts, Share, Started, Work
from tandem.errors import PipelineError
from tandem.features.embedding import BackbonePass, EnginePass, Extractor, Loaded
from tandem.features.engines.base import REFERENCE
from tandem.types import Encoded

_MOST_BYTES = 4 * 4096  # of a view's features: more than the usual backbones have, which are known once one is loaded


@dataclass(frozen=True)
class PassesTogether(Work[Encoded, np.ndarray]):
    """Several backbones over the same images. A row: (tta_views, sum of dims) float32, the backbones side by side.

    made: by name, what BackbonePass finds; the first is there, another that cannot compute beside it is not.
    """

    passes: tuple[BackbonePass, ...]

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return f"extract {self._names}"

    @property
    def share(self) -> Share:
        """That of the first."""
        return self.passes[0].share

    @property
    def needs_folder(self) -> bool:
        """For the images or the weights of any."""
        return any(each.needs_folder for each in self.passes)

    def facts(self) -> Facts:
        """The recipe of the first; those of the others differ from it in what is the same wherever it is read."""
        return self.passes[0].facts()

    def start(self) -> Started[Encoded, np.ndarray]:
        """Load the backbones, the first one first."""
        from tandem.features.engines.together import run_together

        first, *others = self.passes
        make_kernel_choices(first.environment)
        loaded = {first.name: first.extractor.load()} | {
            each.name: beside for each in others if (beside := _load_beside(each))
        }
        engine = run_together([each.engine for each in loaded.values()])
        together = Loaded(engine, sum(each.dim for each in loaded.values()), digest="")
        work = EnginePass(self._names, Extractor({}, lambda: together), first.settings, first.batch_size, first.workers)
        made = {
            name: {"engine": each.engine.name, "dim": each.dim, "digest": each.digest} for name, each in loaded.items()
        }
        return replace(work.start(), made=made)

    def batches(self, items: Sequence[Encoded], num_batches: int) -> Iterator[Sequence[Encoded]]:
        """As of the first."""
        return self.passes[0].batches(items, num_batches)

    @property
    def _names(self) -> str:
        return ", ".join(each.name for each in self.passes)


def _load_beside(work: BackbonePass) -> Loaded | None:
    """None where its own stage has to say why it cannot be loaded, or may find memory for a faster engine, alone."""
    with suppress(PipelineError, RuntimeError, MemoryError):  # torch's lack of memory is a RuntimeError
        loaded = work.extractor.load()
        if work.settings.engine == "reference" or loaded.engine.name != REFERENCE:
            return loaded
    return None


@dataclass(frozen=True)
class SharedComputation:
    """The features of one backbone, and those of others, which come beside them and are kept for their own stages.

    stores: by name, of the others; none where the computation is of that one alone.
    """

    name: str
    computation: Computation[Encoded, np.ndarray]
    stores: Mapping[str, ResultStore] = field(default_factory=dict)
    _waiting: dict[str, list[tuple[str, np.ndarray]]] = field(default_factory=dict)

    @property
    def made(self) -> Facts:
        """What the backbone's own start found."""
        made: Facts = self.computation.made
        return made[self.name] if self.stores else made

    def prepare(self, *, ids: Sequence[str], num_new: int, tta_views: int) -> tuple[str, ...]:
        """Make room for the others' features; the names of those whose features are kept."""
        for name, store in self.stores.items():
            made = self.computation.made.get(name)
            if made and store.made in (None, made):
                store.prepare(made, ids=ids, num_new=num_new, row_bytes=4 * tta_views * made["dim"])
                if store.room >= num_new:
                    self._waiting[name] = []
        return tuple(self._waiting)

    def rows(self, images: Sequence[Encoded], ids: Sequence[str]) -> Iterator[np.ndarray]:
        """(tta_views, dim) of each image, by the one backbone."""
        rows = self.computation.rows(images)
        if not self.stores:
            yield from rows
            return
        dims = {name: made["dim"] for name, made in self.computation.made.items()}
        ends = np.cumsum(list(dims.values()))[:-1]
        for id_, row in zip(ids, rows, strict=True):
            parts = dict(zip(dims, np.split(row, ends, axis=1), strict=True))
            for name, waiting in self._waiting.items():
                waiting.append((id_, parts[name]))
            yield parts[self.name]

    def keep(self) -> None:
        """Write what came of the others since the last time."""
        for name, waiting in self._waiting.items():
            self.stores[name].write([id_ for id_, _ in waiting], [features for _, features in waiting])
            waiting.clear()

    def close(self) -> None:
        """Let go of the stores."""
        for store in self.stores.values():
            store.close()


def share_decoding(
    work: BackbonePass,
    others: Sequence[BackbonePass],
    *,
    executor: Executor,
    recipe: Facts,
    missing: Sequence[str],
    num_images: int,
    max_bytes: int,
) -> SharedComputation:
    """A backbone's pass over images, beside it those of the others that lack them all.

    recipe: of the backbone's features, as its store has it. missing: ids of the images. num_images: of all, whose
    features have to fit into the stores together, for else some would be computed in vain.
    """
    needed = num_images * work.settings.tta_views * _MOST_BYTES * (1 + len(others))
    passes, stores = [work], dict[str, ResultStore]()
    if needed <= max_bytes and missing:
        recipes = [recipe]
        for other in others:
            if (of_other := executor.facts(other)) in recipes:  # the same network by another name
                continue
            recipes.append(of_other)
            store = ResultStore(cache_dir(), of_other, max_bytes=max_bytes)
            if store.held(missing).any():
                store.close()
            else:
                passes.append(other)
                stores[other.name] = store
    computed = executor.compute(PassesTogether(tuple(passes)) if stores else work)
    return SharedComputation(work.name, computed, stores)
