"""Which pictures are copies of one another: candidates are found, and each pair is laid over one another and looked at.

Candidates are pairs that are near by features or by perceptual hash in any orientation, and each picture with its
nearest by either: a crop, a frame or a blur moves features and hash far, but seldom past other pictures. What decides
is one number, the correlation of the pixels once one picture lies over the other (tandem.curation.duplicates.alignment).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tandem.curation.duplicates import alignment
from tandem.curation.duplicates.alignment import Sketch
from tandem.curation.duplicates.search import Pairs, near_pairs, nearest_pairs, unique_pairs
from tandem.files import write_csv
from tandem.images.hashing import NUM_ORIENTATIONS, as_signs, similarity_of_bits

_BY_HASH = 2  # a hash that is not near says little: only its very nearest are looked at
_LEAST = 0.5  # a correlation below says nothing, and there are very many
_COLUMNS = ["first", "second", "similarity", "correlation"]


@dataclass(frozen=True)
class Nearness:
    """When two pictures are near. similarity: least cosine of features. hash_bits: most differing bits of 256."""

    similarity: float
    hash_bits: int


@dataclass(frozen=True)
class Candidates:
    """Which pairs are looked at: those that are near, and each picture with the `neighbours` nearest to it."""

    similarity: float
    hash_bits: int
    neighbours: int

    @property
    def nearness(self) -> Nearness:
        """The two limits."""
        return Nearness(self.similarity, self.hash_bits)


@dataclass(frozen=True)
class Looked:
    """pairs: all candidates. correlation: (P,) of their pixels, in [-1, 1]."""

    pairs: Pairs
    correlation: np.ndarray

    @property
    def row_pairs(self) -> set[tuple[int, int]]:
        """The pairs as (smaller row, larger row)."""
        return set(zip(self.pairs.first.tolist(), self.pairs.second.tolist(), strict=True))

    def where(self, chosen: np.ndarray) -> "Looked":
        """The pairs that a mask (P,) chooses."""
        pairs = self.pairs
        return Looked(
            Pairs(pairs.first[chosen], pairs.second[chosen], pairs.similarity[chosen]), self.correlation[chosen]
        )


def look(x: np.ndarray, hashes: np.ndarray, sketch_of: Callable[[int], Sketch], *, candidates: Candidates) -> Looked:
    """All candidates with their correlation. x: (N, D) features. hashes: (N, 8, 32). sketch_of: row -> Sketch.

    Pictures that are near are also compared as they are, in all orientations: some have no points to align them by.
    """
    near = find_near(x, hashes, nearness=candidates.nearness)
    nearest = _nearest(x, hashes, candidates.neighbours)
    first, second = np.concatenate([near.first, nearest[:, 0]]), np.concatenate([near.second, nearest[:, 1]])
    pairs = unique_pairs(first, second, cosines(x, first, second))
    is_near = set(zip(near.first.tolist(), near.second.tolist(), strict=True))
    rows = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    correlation = []
    for i, j in tqdm(rows, "lay pictures over one another", unit="pair", disable=None):
        value = alignment.correlation(sketch_of(i), sketch_of(j))
        if (i, j) in is_near:
            value = max(value, alignment.as_they_are(sketch_of(i), sketch_of(j)))
        correlation.append(value)
    return Looked(pairs, np.array(correlation, dtype=np.float64))


def find_near(x: np.ndarray, hashes: np.ndarray, *, nearness: Nearness) -> Pairs:
    """All pairs that are near by features or by hash in any orientation; similarity is the cosine of the features."""
    by_features = near_pairs(x, min_similarity=nearness.similarity)
    signs = _signs(hashes)
    by_hash = near_pairs(signs[0], others=signs[1:], min_similarity=similarity_of_bits(nearness.hash_bits))
    first = np.concatenate([by_features.first, by_hash.first])
    second = np.concatenate([by_features.second, by_hash.second])
    return unique_pairs(first, second, cosines(x, first, second))


def cosines(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) cosine of the rows first and second (P,) of x (N, D); 0 for a row of zeros."""
    one, other = np.asarray(x[first], dtype=np.float32), np.asarray(x[second], dtype=np.float32)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("nd,nd->n", one, other) / np.where(norms > 0, norms, 1)


def save_looked(looked: Looked, ids: Sequence[str], path: Path) -> None:
    """Write pairs as CSV: both ids, the cosine of their features and the correlation of their pixels.

    Pairs that hardly correlate (below 0.5) are left out: they are very many, and tell nothing.
    """
    told = looked.where(looked.correlation >= _LEAST)
    values = (told.pairs.first, told.pairs.second, told.pairs.similarity, told.correlation)
    rows = zip(*(value.tolist() for value in values), strict=True)
    write_csv(path, _COLUMNS, [dict(zip(_COLUMNS, (ids[i], ids[j], *rest), strict=True)) for i, j, *rest in rows])


def _nearest(x: np.ndarray, hashes: np.ndarray, neighbours: int) -> np.ndarray:
    signs = _signs(hashes)
    by_hash = nearest_pairs(signs[0], views=signs[1:], k=min(_BY_HASH, neighbours))
    return np.concatenate([nearest_pairs(x, k=neighbours), by_hash])


def _signs(hashes: np.ndarray) -> list[np.ndarray]:
    return [as_signs(hashes[:, orientation]) for orientation in range(NUM_ORIENTATIONS)]
