"""Several engines over the same pixels, so that an image is decoded once for all of them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, tee

import numpy as np

from tandem.features.engines.base import Engine


def run_together(engines: Sequence[Engine]) -> Engine:
    """An engine whose features are those of all of them side by side, (m, sum of D).

    Each computes as it does alone, and all of them at about the same place, so that few batches are held.
    """

    def embed(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        copies = tee(batches, len(engines))
        rows = [chain.from_iterable(engine.embed(copy)) for engine, copy in zip(engines, copies, strict=True)]
        for features in zip(*rows, strict=True):
            yield np.concatenate(features)[None]

    return Engine(", ".join(dict.fromkeys(engine.name for engine in engines)), embed)
