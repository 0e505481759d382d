"""Pairs of images of two splits whose hashes differ little, among very many: those that agree in some bits.

A key is the value of a few bits of a hash, read by a product of all its bits with powers of two. Hashes that differ in
d of 256 bits have equal keys of k bits with a probability of about (1 - d / 256) ** k; as many keys are drawn as find a
pair at the limit with a probability of KEY_RECALL, whatever the images are, and nearer ones with more.
"""

from collections.abc import Iterator, Mapping
from math import ceil, log, log1p

import numpy as np

KEY_RECALL = 0.95  # of pairs at the limit
_MIN_SET_BITS = 96  # a flat image's hash means nothing; see tandem.images.hashing
_SEED = 2
_NUM_BITS = 256
_MAX_KEY_BITS = 22  # which float32 products hold
_KEYS_AT_ONCE = 16
_BLOCK = 16_384  # hashes whose bits are spread out at a time
_MAX_COMPARED = 200_000  # pairs at a time


def near_hashes(
    hashes: np.ndarray, rows: Mapping[str, np.ndarray], max_hash_distance: int
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) rows of pairs in two splits whose hashes differ by so many of 256 bits or less, and by how many.

    hashes: (N, 8, 32) packed bits: the upright one of an image of an earlier split, and any of one of a later split.
    rows: split -> row numbers.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)  # eight bytes at a time: (N, 8, 4)
    every = words.reshape(-1, words.shape[2])  # one orientation after the other, to take rows of, which is fast
    rank, usable = np.full(len(hashes), -1, np.int8), np.bitwise_count(words).sum(axis=2) >= _MIN_SET_BITS
    for number, numbers in enumerate(rows.values()):
        rank[numbers] = number
    base = np.flatnonzero((rank >= 0) & usable[:, 0])
    queries, turns = np.nonzero(usable & (rank > 0)[:, None])
    num_bits = min(max(8, ceil(log(max(2, len(base)), 2))), _MAX_KEY_BITS)
    found = np.zeros(0, dtype=np.int64)
    for bits in _draws(num_bits, _num_keys(num_bits, max_hash_distance)):
        base_keys = _keys(hashes[base, 0] if len(base) else hashes[:0, 0], bits)
        query_keys = _keys(hashes[queries, turns], bits)
        for key in range(base_keys.shape[1]):
            news = [found]
            for one, at in _matches(base_keys[:, key], query_keys[:, key], num_bits):
                one, other = base.take(one), queries.take(at)
                across = np.flatnonzero(rank.take(one) < rank.take(other))
                one, other, turn = one.take(across), other.take(across), turns.take(at.take(across))
                turned = every.take(other * words.shape[1] + turn, axis=0)
                distance = np.bitwise_count(every.take(one * words.shape[1], axis=0) ^ turned).sum(
                    axis=1, dtype=np.int64
                )
                near = np.flatnonzero(distance <= max_hash_distance)
                low, high = np.minimum(one, other)[near], np.maximum(one, other)[near]
                news.append((low * len(hashes) + high) * (_NUM_BITS + 1) + distance[near])
            found = np.unique(np.concatenate(news))
    found, distance = np.divmod(found, _NUM_BITS + 1)
    pairs, first = np.unique(found, return_index=True)  # the smallest distance of each pair stands first
    return np.stack(np.divmod(pairs, max(1, len(hashes))), axis=1), distance[first]


def _num_keys(num_bits: int, distance: int) -> int:
    left = np.arange(num_bits)
    found_by_one = float(np.prod((_NUM_BITS - distance - left) / (_NUM_BITS - left)))
    return ceil(log(1 - KEY_RECALL) / log1p(-min(found_by_one, 1 - 1e-9)))


def _draws(num_bits: int, num_keys: int) -> Iterator[np.ndarray]:
    """(K, num_bits) bit numbers of keys, a few keys at a time."""
    rng = np.random.default_rng(_SEED)
    for start in range(0, num_keys, _KEYS_AT_ONCE):
        num = min(_KEYS_AT_ONCE, num_keys - start)
        yield np.stack([rng.choice(_NUM_BITS, num_bits, replace=False) for _ in range(num)])


def _keys(hashes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """(n, K) int32 keys of hashes (n, 32)."""
    weights = np.zeros((_NUM_BITS, len(bits)), dtype=np.float32)
    for key, numbers in enumerate(bits):
        weights[numbers, key] = 2.0 ** np.arange(len(numbers))
    keys = np.empty((len(hashes), len(bits)), dtype=np.int32, order="F")
    for start in range(0, len(hashes), _BLOCK):
        part = slice(start, start + _BLOCK)
        keys[part] = np.unpackbits(hashes[part], axis=1).astype(np.float32) @ weights
    return keys


def _matches(base: np.ndarray, queries: np.ndarray, num_bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions in base and in queries of equal keys, a part of the pairs at a time."""
    order = np.argsort(base, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(base, minlength=2**num_bits))])
    lengths = np.diff(starts).take(queries)
    hits = np.flatnonzero(lengths)
    ends = np.cumsum(lengths[hits])
    cuts = np.searchsorted(ends, np.arange(_MAX_COMPARED, ends[-1:].sum(), _MAX_COMPARED))
    for part in np.split(hits, cuts):
        counts = lengths.take(part)
        before = np.cumsum(counts) - counts
        at = np.repeat(starts.take(queries.take(part)) - before, counts) + np.arange(counts.sum())
        yield order.take(at), np.repeat(part, counts)
