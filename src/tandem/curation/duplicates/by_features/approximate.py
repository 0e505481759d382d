"""Similar pairs of very many rows, and each row's nearest, by the index: a work whose batches are independent.

Centers are fitted where the stage runs. Each process puts all rows into the lists around them, which it reads from the
file of the features, and then searches for blocks of them. That takes a machine 512 bytes a long row, and is about a
twentieth of the work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tandem.cache.recipe import circumstances
from tandem.cluster.work import Executor, Facts, Share, Started, Work, in_batches
from tandem.curation.duplicates.by_features.all_pairs import Triples, pairs_at
from tandem.curation.duplicates.by_features.cores import by_all_cores
from tandem.curation.duplicates.by_features.index import AnnIndex, Centers, fit_centers
from tandem.curation.duplicates.by_features.rows import UnitRows
from tandem.curation.duplicates.pairs import Pairs, unique_pairs
from tandem.errors import ClusterError

_MIN_ASKED, _ASKED_TIMES = 16, 6  # rows of the index that are compared, and that for each neighbor
_BLOCK = 256  # rows of an item
_BLOCKS_A_BATCH = 16
_CODE = ("curation/duplicates/by_features",)  # of the package
_LIBRARIES = ("faiss-cpu", "numpy", "threadpoolctl")

_Found = tuple[Triples, np.ndarray]  # similar pairs, and (P, 2) each row and its nearest, smaller row first


def pairs_by_index(rows: UnitRows, *, limit: float, k: int, executor: Executor) -> tuple[Pairs, np.ndarray]:
    """Pairs of cosine >= limit, and (P, 2) each row and the k nearest to it, sorted, unique, smaller row first.

    Raises ClusterError where a process has other rows.
    """
    search = executor.compute(FeatureSearch(rows, fit_centers(rows), limit, k))
    if search.made["features"] != rows.digest:
        raise ClusterError(
            "the nodes of the Ray cluster have other features than the machine where the stage runs; put the project "
            "on one disk that all nodes have under the same path, such as NFS"
        )
    found, nearest = list[Triples](), [np.zeros((0, 2), dtype=np.int64)]
    for similar, near in search.rows(range(0, len(rows), _BLOCK)):
        found.append(similar)
        nearest.append(near)
    first, second, cosine = (np.concatenate(part) for part in zip(*found, strict=True))
    return unique_pairs(first, second, cosine), np.unique(np.concatenate(nearest), axis=0)


@dataclass(frozen=True, eq=False)
class FeatureSearch(Work[int, _Found]):
    """What a block of rows finds among all, of which the number of its first row is the item."""

    rows: UnitRows
    centers: Centers
    limit: float
    k: int

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return "search by features"

    @property
    def share(self) -> Share:
        """A machine: its cores share one index."""
        return Share(None)

    def facts(self) -> Facts:
        """Of this machine."""
        return {"value": "similar rows", **circumstances(_CODE, _LIBRARIES)}

    def start(self) -> Started[int, _Found]:
        """Put all rows into their lists."""
        index = AnnIndex(self.rows, self.centers)
        return Started({"features": self.rows.digest}, partial(by_all_cores, partial(self._found, index)))

    def batches(self, items: Sequence[int], num_batches: int) -> Iterator[Sequence[int]]:
        """Of a few blocks."""
        return in_batches(items, num_batches, at_most=_BLOCKS_A_BATCH)

    def _found(self, index: AnnIndex, start: int) -> _Found:
        numbers = np.arange(start, min(start + _BLOCK, len(self.rows)))
        queries = index.queries(self.rows[numbers[0] : numbers[-1] + 1])
        similarity, others, last = index.nearest(queries, max(_MIN_ASKED, _ASKED_TIMES * (self.k + 1)))
        similarity[(others == numbers[:, None]) | self.rows.is_zero[numbers, None]] = -np.inf
        i, j = np.nonzero(similarity >= self.limit)
        similar = numbers[i], others[i, j], similarity[i, j].clip(-1, 1)
        has_more = np.flatnonzero(last >= self.limit)
        i, j = index.within(queries.where(has_more), self.limit)
        i = numbers[has_more[i]]
        more = pairs_at(self.rows, i[i != j], j[i != j], self.limit)
        order = np.lexsort((others, -similarity))[:, : self.k]
        i, j = np.nonzero(np.isfinite(np.take_along_axis(similarity, order, axis=1)))
        nearest = np.sort(np.stack([numbers[i], others[i, order[i, j]]], axis=1), axis=1)
        first, second, cosine = (np.concatenate(parts) for parts in zip(similar, more, strict=True))
        return (first, second, cosine), nearest
