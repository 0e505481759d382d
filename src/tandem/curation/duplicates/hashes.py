"""Pairs of images whose perceptual hashes differ little, or least, in any orientation.

Up to EXACT_TO images all hashes are compared, by faiss's binary index. Of more, those are compared that agree in all
bits of a sample of bits (.bit_samples): a pair is then missed with a probability that is known, whatever the
images are, and no pair is wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.cache.recipe import code_digest
from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor, Facts, Share, Started, Work, in_batches
from tandem.curation.duplicates.bit_samples import near_in_samples, samples_needed, samples_of_bits
from tandem.curation.duplicates.by_features.cores import on_one_core
from tandem.curation.duplicates.by_features.index import EXACT_TO
from tandem.curation.duplicates.pairs import places
from tandem.images.hashing import NUM_BITS
from tandem.libraries import versions_of

RECALL = 0.95  # of pairs as far apart as the limit, beyond EXACT_TO; nearer ones are missed less
NEAREST_SURE = 40  # bits; the nearest of an image is found with the same probability up to this distance
_NEAREST_LIMIT = 80  # bits; beyond EXACT_TO images the nearest of strangers lie not much farther, by chance
_FLAT = NUM_BITS // 2  # the distance that flat images are ranked at, as their signs have cosine 0 with all
_MIN_SET_BITS = 96  # a flat image's hash means nothing; see tandem.images.hashing
_BLOCK = 4096  # queries at a time
_SAMPLES_A_BATCH = 16
_CODE = tuple(f"curation/duplicates/{name}.py" for name in ("bit_samples", "hashes", "pairs"))  # of the package


@dataclass(frozen=True)
class HashPairs:
    """similar: (P, 2) rows that differ by max_distance or less. nearest: (Q, 2) each row and its nearest.

    The smaller row first, sorted, unique.
    """

    similar: np.ndarray
    nearest: np.ndarray


def hash_pairs(
    hashes: np.ndarray,
    *,
    max_distance: int,
    num_neighbors: int,
    exact_to: int = EXACT_TO,
    executor: Executor = LOCAL,
) -> HashPairs:
    """hashes: (N, 8, 32) packed bits of all orientations; a pair is as near as the upright hash of one and any of the
    other's. max_distance: of 256 bits. exact_to: most images whose hashes are all compared, here; of more, executor.

    Hashes of flat images are near to nothing. Of equally near images those of the lowest rows are the nearest.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)  # (N, 8, 4)
    usable = np.bitwise_count(words).sum(axis=2) >= _MIN_SET_BITS  # (N, 8)
    k = min(num_neighbors, len(hashes) - 1)
    if len(hashes) > exact_to:
        return _sampled_pairs(words, usable, max_distance, k, executor)
    with on_one_core():  # several wait for one another in a loop, which on a busy machine costs the most
        return HashPairs(_similar(hashes, usable, max_distance), _nearest(hashes, usable, k))


def _similar(hashes: np.ndarray, usable: np.ndarray, max_distance: int) -> np.ndarray:
    base, index = _index(hashes, usable)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for orientation in range(hashes.shape[1]):
        queried = np.flatnonzero(usable[:, orientation])
        for start in range(0, len(queried), _BLOCK):
            rows = queried[start : start + _BLOCK]
            limits, _, others = index.range_search(hashes[rows, orientation], max_distance + 1)  # less than that
            pairs = np.stack([np.repeat(rows, np.diff(limits.astype(np.int64))), base[others]], axis=1)
            found.append(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _nearest(hashes: np.ndarray, usable: np.ndarray, k: int) -> np.ndarray:
    if k < 1:
        return np.zeros((0, 2), dtype=np.int64)
    base, index = _index(hashes, usable)
    flat = np.flatnonzero(~usable[:, 0])
    distances, others = [], []
    num_asked = min(k + 1, len(base))  # an image's own hash among them
    for orientation in range(hashes.shape[1]):
        distance = np.full((len(hashes), num_asked), np.inf)
        other = np.zeros((len(hashes), num_asked), dtype=np.int64)
        queried = np.flatnonzero(usable[:, orientation])
        for start in range(0, len(queried) if num_asked else 0, _BLOCK):
            rows = queried[start : start + _BLOCK]
            found, at = index.search(hashes[rows, orientation], num_asked)
            # flat images take the place of those that are farther than they, or as far and later
            ahead = np.where(found > _FLAT, len(flat), (found == _FLAT) * np.searchsorted(flat, base[at]))
            is_none = (base[at] == rows[:, None]) | (np.arange(num_asked) + ahead > k)
            distance[rows], other[rows] = np.where(is_none, np.inf, found), base[at]
        distances.append(distance)
        others.append(other)
    distance, other = np.concatenate(distances, axis=1), np.concatenate(others, axis=1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    is_found = np.isfinite(np.take_along_axis(distance, order, axis=1))
    queried = np.broadcast_to(np.arange(len(hashes))[:, None], order.shape)
    pairs = np.stack([queried, np.take_along_axis(other, order, axis=1)], axis=-1)[is_found]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _index(hashes: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, Any]:
    """Row numbers and index of the upright hashes that are usable."""
    import faiss

    base = np.flatnonzero(usable[:, 0])
    index: Any = faiss.IndexBinaryFlat(NUM_BITS)
    index.use_heap = False  # of equally near ones the first that are added are found
    index.add(np.ascontiguousarray(hashes[base, 0]))
    return base, index


def _sampled_pairs(words: np.ndarray, usable: np.ndarray, max_distance: int, k: int, executor: Executor) -> HashPairs:
    num_samples = samples_needed(len(words), max(max_distance, NEAREST_SURE if k else 0), recall=RECALL)
    nearest, similar = _Nearest(len(words), k), [np.zeros(0, dtype=np.int64)]
    search = executor.compute(HashSearch(words, usable, max_distance, k))
    for codes, found in search.rows(samples_of_bits(len(words), num_samples)):
        similar.append(codes)
        nearest.add(*found.T)
    pairs = np.divmod(np.unique(np.concatenate(similar)), len(words))
    return HashPairs(np.stack(pairs, axis=1), nearest.pairs())


@dataclass(frozen=True, eq=False)
class HashSearch(Work[np.ndarray, tuple[np.ndarray, np.ndarray]]):
    """What each sample of bits adds to those before it in its batch; all are independent.

    words: (N, 8, 4). usable: (N, 8). A row: (P,) similar pairs as first * N + second, and (Q, 3) rows, others and
    distances among which the k nearest of each row are.
    """

    words: np.ndarray
    usable: np.ndarray
    max_distance: int
    k: int

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return "search by hashes"

    @property
    def share(self) -> Share:
        """A core."""
        return Share(1)

    def facts(self) -> Facts:
        """Whole numbers are the same anywhere: the code alone."""
        return {"code": code_digest(_CODE), "libraries": versions_of(("numpy",))}

    def start(self) -> Started[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Nothing to load."""
        return Started({}, self._rows)

    def batches(self, items: Sequence[np.ndarray], num_batches: int) -> Iterator[Sequence[np.ndarray]]:
        """Of a few: what two of them find is handed over once."""
        return in_batches(items, num_batches, at_most=_SAMPLES_A_BATCH)

    def _rows(self, samples: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        known, nearest = np.zeros(0, dtype=np.int64), _Nearest(len(self.words), self.k)
        limit = max(self.max_distance, _NEAREST_LIMIT if self.k else 0)
        for rows, others, distance in near_in_samples(self.words, self.usable, samples, limit=limit):
            is_similar = distance <= self.max_distance
            news = np.setdiff1d(others[is_similar] * len(self.words) + rows[is_similar], known)
            known = np.union1d(known, news)
            both_ways = np.concatenate([rows, others]), np.concatenate([others, rows]), np.tile(distance, 2)
            yield news, nearest.add(*both_ways)


class _Nearest:
    """The k nearest of each of N rows among those that were added, in whatever order, within _NEAREST_LIMIT.

    Of equally near ones those of the lowest rows.
    """

    def __init__(self, num_rows: int, k: int) -> None:
        self._k, self._num_rows = k, num_rows
        limit = (_NEAREST_LIMIT + 1) * num_rows if k else 0
        self._worst = np.full(num_rows, limit, dtype=np.int64)  # distance * N + other
        self._found = np.zeros((0, 3), dtype=np.int64)  # row, distance, other; sorted

    def add(self, rows: np.ndarray, others: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """(n, 3) rows, others and distances of those that were nearer than what was there before."""
        place_of = distance.astype(np.int64) * self._num_rows + others
        is_nearer = place_of < self._worst[rows]
        rows, others, distance = rows[is_nearer], others[is_nearer], distance[is_nearer].astype(np.int64)
        if len(rows):
            news = np.stack([rows, distance, others], axis=1)
            found = np.unique(np.concatenate([self._found, news]), axis=0)
            found = found[np.sort(np.unique(found[:, [0, 2]], axis=0, return_index=True)[1])]  # by another orientation
            place = places(found[:, 0])
            self._found = found[place < self._k]
            last = self._found[place[place < self._k] == self._k - 1]
            self._worst[last[:, 0]] = last[:, 1] * self._num_rows + last[:, 2]
        return np.stack([rows, others, distance], axis=1)

    def pairs(self) -> np.ndarray:
        """(Q, 2) rows, smaller first, sorted, unique."""
        return np.unique(np.sort(self._found[:, [0, 2]], axis=1), axis=0)
