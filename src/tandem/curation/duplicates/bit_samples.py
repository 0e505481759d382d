"""Which hashes agree in all of a few bits, for many such samples of bits: locality-sensitive hashing by bit sampling.

Two hashes of 256 bits that differ in d of them agree in a random sample of k bits with a probability of about
(1 - d / 256) ** k (Indyk and Motwani, 1998), whatever the hashes are. With k = log2(N) a hash agrees with about one
stranger a sample, so that T samples cost N x T comparisons; how many samples are needed depends on d alone.
"""

from collections.abc import Iterable, Iterator
from math import ceil, log, log1p

import numpy as np

from tandem.images.hashing import NUM_BITS

_SEED = 0
_MIN_BITS, _MAX_BITS = 8, 24  # of a sample
_BLOCK = 65_536  # queries at a time: their bytes stay in the cache
_MAX_PAIRS = 1_000_000  # compared at a time

_Found = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, others, their distances


def bits_a_sample(num_rows: int) -> int:
    """So many that strangers share a sample about once."""
    return int(np.clip(ceil(log(max(num_rows, 2), 2)), _MIN_BITS, _MAX_BITS))


def found_by_one(num_rows: int, distance: int) -> float:
    """The probability that one sample is the same in two hashes so many bits apart."""
    left = np.arange(bits_a_sample(num_rows))
    return float(np.prod(np.maximum(NUM_BITS - distance - left, 0) / (NUM_BITS - left)))


def tables_needed(num_rows: int, distance: int, *, recall: float) -> int:
    """Samples of which one at least is the same in two hashes so many bits apart, with a probability of recall."""
    return ceil(log(1 - recall) / log1p(-min(found_by_one(num_rows, distance), 1 - 1e-9)))


def samples_of_bits(num_rows: int, num_tables: int) -> list[np.ndarray]:
    """The numbers of the bits that each table looks at."""
    rng = np.random.default_rng(_SEED)
    return [rng.permutation(NUM_BITS)[: bits_a_sample(num_rows)] for _ in range(num_tables)]


def collisions(words: np.ndarray, usable: np.ndarray, samples: Iterable[np.ndarray]) -> Iterator[Iterator[_Found]]:
    """For each sample the pairs of a hash in any orientation and an upright one of another row that share it.

    words: (N, 8, 4) uint64. usable: (N, 8). The parts of a sample hold a million pairs or so each.
    """
    planes = np.ascontiguousarray(words.view(np.uint8).transpose(1, 2, 0))  # (8, 32, N)
    upright, base = np.ascontiguousarray(words[:, 0]), np.flatnonzero(usable[:, 0])
    for bits in samples:
        yield _of_sample(bits, planes, upright, usable, base)


def _of_sample(
    bits: np.ndarray, planes: np.ndarray, upright: np.ndarray, usable: np.ndarray, base: np.ndarray
) -> Iterator[_Found]:
    own = _samples(planes[0], bits)[base]
    counts = np.bincount(own, minlength=2 ** len(bits)).astype(np.int32)
    starts, rows_of = np.cumsum(counts) - counts, base[np.argsort(own, kind="stable")]
    for orientation in range(len(planes)):
        samples = _samples(planes[orientation], bits)
        num_others = np.where(usable[:, orientation], counts[samples], 0)
        queried = np.flatnonzero(num_others)
        ends = np.cumsum(num_others[queried])
        for part in np.split(queried, np.searchsorted(ends, np.arange(_MAX_PAIRS, ends[-1:].sum(), _MAX_PAIRS))):
            lengths = num_others[part]
            first = starts[samples[part]] - (np.cumsum(lengths) - lengths)
            others = rows_of[np.repeat(first, lengths) + np.arange(lengths.sum())]
            rows = np.repeat(part, lengths)
            rows, others = rows[rows != others], others[rows != others]
            turned = planes[orientation][:, rows]
            yield rows, others, _distance(np.ascontiguousarray(turned.T).view(np.uint64), upright[others])


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
