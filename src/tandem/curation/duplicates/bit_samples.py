"""Which hashes agree in all of a few bits, for many such samples of bits: locality-sensitive hashing by bit sampling.

Two hashes of 256 bits that differ in d of them agree in a random sample of k bits with a probability of about
(1 - d / 256) ** k (Indyk and Motwani, 1998), whatever the hashes are. With k = log2(N) a hash agrees with about one
stranger a sample, so that T samples cost N x T comparisons; how many samples are needed depends on d alone.

Of two images the later one's hashes are looked up, in all orientations: turned back, it is about as near to the other
as that one, turned, to it. What is a few bits beyond the limit is compared in both ways.
"""

from collections.abc import Iterable, Iterator
from math import ceil, log, log1p

import numpy as np

from tandem.images.hashing import NUM_BITS

_SEED = 0
_MIN_BITS, _MAX_BITS = 8, 24  # of a sample
_BLOCK = 65_536  # rows at a time: their bytes stay in the cache
_MAX_PAIRS = 200_000  # compared at a time
_ASYMMETRY = 8  # bits by which the distance of a turned image's hashes may differ from one way to the other

_Rows = tuple[np.ndarray, np.ndarray]


def bits_a_sample(num_rows: int) -> int:
    """So many that strangers share a sample about once."""
    return int(np.clip(ceil(log(max(num_rows, 2), 2)), _MIN_BITS, _MAX_BITS))


def found_by_one(num_rows: int, distance: int) -> float:
    """The probability that one sample is the same in two hashes so many bits apart."""
    left = np.arange(bits_a_sample(num_rows))
    return float(np.prod(np.maximum(NUM_BITS - distance - left, 0) / (NUM_BITS - left)))


def samples_needed(num_rows: int, distance: int, *, recall: float) -> int:
    """Samples of which one at least is the same in two hashes so many bits apart, with a probability of recall."""
    return ceil(log(1 - recall) / log1p(-min(found_by_one(num_rows, distance), 1 - 1e-9)))


def samples_of_bits(num_rows: int, num_samples: int) -> list[np.ndarray]:
    """The numbers of the bits of each."""
    rng = np.random.default_rng(_SEED)
    return [rng.permutation(NUM_BITS)[: bits_a_sample(num_rows)] for _ in range(num_samples)]


def near_in_samples(
    words: np.ndarray, usable: np.ndarray, samples: Iterable[np.ndarray], *, limit: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each sample rows, lower rows and distances of pairs: a hash of the first and the upright one of the other
    share it, and they differ in at most `limit` bits in this way or the other.

    words: (N, 8, 4) uint64. usable: (N, 8). A pair may come several times.
    """
    turned = np.ascontiguousarray(words.transpose(1, 0, 2))  # (8, N, 4)
    planes = np.ascontiguousarray(turned.view(np.uint8).transpose(0, 2, 1))  # (8, 32, N)
    for sample in samples:
        found = list(_near(sample, planes, turned, usable, limit + _ASYMMETRY))
        rows, others = (np.concatenate(part) for part in zip(*found, strict=True))
        distance = np.minimum(_least(words, usable, rows, others), _least(words, usable, others, rows))
        near = distance <= limit
        yield rows[near], others[near], distance[near]


def _near(
    sample: np.ndarray, planes: np.ndarray, turned: np.ndarray, usable: np.ndarray, limit: int
) -> Iterator[_Rows]:
    """Rows and lower rows whose upright hash is near to one of theirs. `take` is several times as fast as an index."""
    base, own = np.flatnonzero(usable[:, 0]), _samples(planes[0], sample)
    rows_of = base.take(np.argsort(own.take(base), kind="stable"))
    totals, counts = (np.bincount(part, minlength=2 ** len(sample)) for part in (own.take(base), own[:0]))
    starts = np.cumsum(totals) - totals
    upright = turned[0].take(rows_of, axis=0)  # those that share a sample side by side: they are read together
    for start in range(0, len(usable), _BLOCK):
        block = slice(start, start + _BLOCK)
        counts += np.bincount(own[block][usable[block, 0]], minlength=len(counts))  # those of higher rows come later
        for orientation in range(len(planes)):
            samples = _samples(planes[orientation, :, block], sample)
            num_others = np.where(usable[block, orientation], counts.take(samples), 0)
            for part in _parts(num_others):
                lengths = num_others.take(part)
                before = np.cumsum(lengths) - lengths
                at = np.repeat(starts.take(samples.take(part)) - before, lengths) + np.arange(lengths.sum())
                rows = np.repeat(part, lengths)
                distance = _distance(turned[orientation, block].take(rows, axis=0), upright.take(at, axis=0))
                near = np.flatnonzero(distance <= limit)
                rows, others = rows[near] + start, rows_of[at[near]]
                yield rows[others < rows], others[others < rows]


def _parts(counts: np.ndarray) -> list[np.ndarray]:
    """The numbers of those that are not 0, in parts that sum to about _MAX_PAIRS."""
    numbers = np.flatnonzero(counts)
    ends = np.cumsum(counts.take(numbers))
    return np.split(numbers, np.searchsorted(ends, np.arange(_MAX_PAIRS, ends[-1:].sum(), _MAX_PAIRS)))


def _least(words: np.ndarray, usable: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) of the distances of the rows' hashes, however turned, to the others' upright ones; NUM_BITS of flat ones."""
    distances = np.full((words.shape[1], len(rows)), NUM_BITS, dtype=np.uint16)
    for orientation, distance in enumerate(distances):
        of_two = _distance(words[rows, orientation], words[others, 0])
        np.copyto(distance, of_two, where=usable[rows, orientation] & usable[others, 0])
    return distances.min(axis=0)


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) uint16 bits that differ, of hashes (n, 4) uint64."""
    counts = np.bitwise_count(one ^ other)
    return (counts[:, 0] + counts[:, 1]).astype(np.uint16) + (counts[:, 2] + counts[:, 3])


def _samples(planes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """(N,) uint32: the values of these bits, of planes (32, N) uint8."""
    samples = np.zeros(planes.shape[1], dtype=np.uint32)
    for start in range(0, len(samples), _BLOCK):
        block = slice(start, start + _BLOCK)
        for first in range(0, len(bits), 8):
            byte = np.zeros(len(samples[block]), dtype=np.uint8)
            for place, bit in enumerate(bits[first : first + 8].tolist()):
                byte |= ((planes[bit // 8, block] >> (7 - bit % 8)) & 1) << place
            samples[block] |= byte.astype(np.uint32) << np.uint32(first)
    return samples
