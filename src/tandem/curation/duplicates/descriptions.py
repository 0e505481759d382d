"""The keypoints of images, described once in the life of each, here or on the nodes of a cluster; who shares them.

Images that share keypoints are candidates where features and hashes change too much, as by a rotation. A keypoint's key
is the signs of random projections of its descriptor (Charikar, 2002). Keypoints that match have the same key with some
probability, strangers hardly ever; several keys of all keypoints of an image vote for the images that share them. Two
descriptors that mirror each other have the same keys, so a mirror image shares as many. A key depends on its image
alone and is kept by the image's bytes: 3.2 KB an image.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil, log2

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.cache.once import Stream, compute_once, computed_one_by_one
from tandem.cache.recipe import circumstances
from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor, Facts, Share, Started, Work, in_batches
from tandem.curation.duplicates.alignment import (
    KEPT_BYTES,
    MIRRORED,
    NUM_POINTS,
    Keypoints,
    packed_keypoints,
    unpacked_keypoints,
)
from tandem.curation.duplicates.pairs import places
from tandem.types import Encoded

_CODE = ("curation/duplicates/alignment.py",)  # of which grays and keypoints come
_LIBRARIES = ("opencv-python-headless", "opencv-python", "numpy", "pillow")
_CACHE_SIZE = 4096  # images whose keypoints are kept in memory, some 65 KB each
_IMAGES_A_BATCH = 256
NUM_KEYS = 4  # of a keypoint
MIN_SHARED = 6  # keys, of all of an image's keypoints
_SEED = 0
_KEY_BITS = 48
_BITS_TO, _BITS = 1000, 34  # of a key that are compared, up to so many images; of more images, more bits
_BITS_A_DOUBLING = 1.5  # measured: signs are not independent, so that one bit does not halve what strangers share
_WINDOW = 8  # images with one key that each is paired with
_WORD_BITS = 64  # that hold a key and a row
_COUNTERS = 1024  # of an image
_OWNERS = 2**20  # images whose counters are held at a time: 1 GB
_ROWS_A_BLOCK = 16_384  # whose keys are looked at at a time: some 13 MB of one kind
_KEY_CODE = ("curation/duplicates/alignment.py", "curation/duplicates/descriptions.py")
_HALF = np.flatnonzero(np.arange(128) < MIRRORED)  # of two entries that a mirror swaps, the first
_LEVELS = 255  # entries become whole numbers up to that: their sums are exact, in whatever order they are taken


@contextmanager
def keypoints_reader(
    images: Sequence[Encoded], sha256: Sequence[str], *, max_gb: float, executor: Executor = LOCAL
) -> Iterator[Callable[[int], Keypoints]]:
    """Row number -> the keypoints of `images[row]`; those of the last images stay in memory (260 MB).

    sha256: of each image's bytes, by which its gray and keypoints are kept, so that it is decoded and described once in
    its life. max_gb: of all stores together, see computed_one_by_one. executor: where images are described.
    """
    work = Description()
    computation = executor.compute(work)
    with computed_one_by_one(
        sha256,
        Stream(lambda rows: computation.rows([images[row] for row in rows])),
        recipe=executor.facts(work),
        dtype="|u1",
        row_bytes=KEPT_BYTES,
        max_gb=max_gb,
        desc="keypoints",
    ) as kept_of:

        @lru_cache(_CACHE_SIZE)
        def read(row: int) -> Keypoints:
            return unpacked_keypoints(kept_of(row))

        yield read


@dataclass(frozen=True)
class Description(Work[Encoded, np.ndarray]):
    """Of an encoded image: its gray and its keypoints, packed, (n,) uint8."""

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return "keypoints"

    @property
    def share(self) -> Share:
        """A core."""
        return Share(1)

    def facts(self) -> Facts:
        """Of this machine."""
        return {"value": "keypoints", **circumstances(_CODE, _LIBRARIES)}

    def start(self) -> Started[Encoded, np.ndarray]:
        """Nothing to load."""
        return Started({}, lambda images: (packed_keypoints(image.read_bytes()) for image in images))

    def batches(self, items: Sequence[Encoded], num_batches: int) -> Iterator[Sequence[Encoded]]:
        """Of images with some 30 KB each."""
        return in_batches(items, num_batches, at_most=_IMAGES_A_BATCH)


def keypoint_keys(keypoints_of: Callable[[int], Keypoints], sha256: Sequence[str], *, max_gb: float) -> np.ndarray:
    """(N, 4, 100) uint64 keys of the keypoints of N images; 0 where one has fewer.

    keypoints_of: row -> Keypoints. sha256: of each image's bytes, by which its keys are kept. max_gb: of all stores
    together, see compute_once.
    """
    projections = _projections()
    with threadpool_limits(limits=1):  # several wait for one another in a product this small
        return compute_once(
            sha256,
            lambda row: _keys(keypoints_of(row).descriptors, projections),
            recipe={"value": "keypoint keys", **circumstances(_KEY_CODE, _LIBRARIES)},
            shape=(NUM_KEYS, NUM_POINTS),
            dtype="<u8",
            max_gb=max_gb,
            desc="keys of keypoints",
        )


def pairs_sharing_keypoints(keys: np.ndarray, *, num_neighbors: int) -> np.ndarray:
    """(P, 2) rows, smaller first, sorted, unique: each image and those few that share the most keys with it.

    keys: (N, 4, 100), as of keypoint_keys. Pairs that share fewer than MIN_SHARED are left out.
    """
    found = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(keys), _OWNERS):
        found += _promising(keys, range(start, min(start + _OWNERS, len(keys))))
    pairs, votes = np.unique(np.concatenate(found), return_counts=True)
    pairs, votes = pairs[votes >= MIN_SHARED], votes[votes >= MIN_SHARED]
    first, second = np.divmod(pairs, max(1, len(keys)))
    is_best = _rank(first, second, votes) < num_neighbors
    is_best |= _rank(second, first, votes) < num_neighbors
    return np.stack([first, second], axis=1)[is_best]


def _projections() -> np.ndarray:
    """(128, 4 x 48) float32 of -1 and 1, as many of each in either half, so that they are blind to an entry's mean."""
    rng, signs = np.random.default_rng(_SEED), np.tile(np.array([-1, 1], dtype=np.float32), len(_HALF) // 2)
    columns = np.tile(signs, (2 * NUM_KEYS * _KEY_BITS, 1))
    return np.ascontiguousarray(rng.permuted(columns, axis=1).reshape(NUM_KEYS * _KEY_BITS, 2 * len(_HALF)).T)


def _keys(descriptors: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """(4, 100) uint64 of descriptors (K, 128)."""
    whole = np.rint(_LEVELS * descriptors)
    one, other = whole[:, _HALF], whole[:, MIRRORED[_HALF]]
    signs = np.concatenate([one + other, np.abs(one - other)], axis=1) @ projections > 0
    packed = np.packbits(signs.reshape(-1, NUM_KEYS, _KEY_BITS), axis=2, bitorder="little")
    padded = np.zeros((NUM_POINTS, NUM_KEYS, 8), dtype=np.uint8)
    padded[: len(packed), :, : _KEY_BITS // 8] = packed
    return padded.view("<u8")[:, :, 0].T


def _promising(keys: np.ndarray, owners: range) -> Iterator[np.ndarray]:
    """first * N + second of pairs that may share MIN_SHARED keys, once for each that they share, in some parts.

    owners: rows; each pair belongs to one of its two. All that share one key are too many to be held. So they are
    counted twice, as sets of items that are frequent (Park, Chen and Yu, 1995): first roughly, in a few counters of
    each owner, of which pairs have one in common, and then only those whose counter reached what is needed.
    """
    counters = np.zeros(len(owners) * _COUNTERS, dtype=np.uint8)
    for _, _, counter in _owned(keys, owners):
        np.add.at(counters, counter, np.uint8(1))  # by at most two for each keypoint of the owner: 200
        counters[counter] = np.minimum(counters[counter], MIN_SHARED)
    for first, second, counter in _owned(keys, owners):
        is_promising = counters[counter] >= MIN_SHARED
        yield first[is_promising] * len(keys) + second[is_promising]


def _owned(keys: np.ndarray, owners: range) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """As _sharing, of the pairs that belong to these rows; and which of their counters is that of the pair."""
    for first, second in _sharing(keys):
        is_odd = (first ^ second) & 1 > 0
        owner, other = np.where(is_odd, first, second), np.where(is_odd, second, first)
        counter = (owner - owners.start) * _COUNTERS + other % _COUNTERS
        if len(owners) < len(keys):
            is_owned = (owner >= owners.start) & (owner < owners.stop)
            first, second, counter = first[is_owned], second[is_owned], counter[is_owned]
        yield first, second, counter


def _sharing(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows first < second of images whose keypoints have equal keys (N, 4, 100), once for each two of them.

    Of very many with one key each is paired with the next few alone.
    """
    num_rows = len(keys)
    bits = min(_KEY_BITS, _BITS + ceil(_BITS_A_DOUBLING * log2(max(1, num_rows / _BITS_TO))))
    row_bits = max(1, (num_rows - 1).bit_length())
    num_parts = 2 ** max(
        0, bits + row_bits - _WORD_BITS
    )  # by the highest bits of a key: the others have room beside a row
    for at, part in product(range(NUM_KEYS), range(num_parts)):
        starts = range(0, num_rows, _ROWS_A_BLOCK)
        packed = np.concatenate([_packed(keys, at, part, start, bits=bits, row_bits=row_bits) for start in starts])
        packed.sort()
        values, rows = packed >> np.uint64(row_bits), (packed & np.uint64(2**row_bits - 1)).astype(np.int64)
        for lag in range(1, _WINDOW + 1):
            same = np.flatnonzero((values[lag:] == values[:-lag]) & (rows[lag:] != rows[:-lag]))
            yield rows[same], rows[same + lag]


def _packed(keys: np.ndarray, at: int, part: int, start: int, *, bits: int, row_bits: int) -> np.ndarray:
    """(n,) uint64: the rest of the keys, so many bits of them, that begin with a part, and below that their rows."""
    values = np.ascontiguousarray(keys[start : start + _ROWS_A_BLOCK, at]).ravel()
    left = min(bits, _WORD_BITS - row_bits)
    in_part = ((values & np.uint64(2**bits - 1)) >> np.uint64(left)) == part
    chosen = np.flatnonzero(in_part & (values != 0))
    rows = (start + chosen // keys.shape[2]).astype(np.uint64)
    return ((values[chosen] & np.uint64(2**left - 1)) << np.uint64(row_bits)) | rows


def _rank(rows: np.ndarray, others: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """(P,) the place of each pair among those of its row by votes, from 0; of equal ones the lowest other is first."""
    order = np.lexsort((others, -votes, rows))
    rank = np.empty(len(rows), dtype=np.int64)
    rank[order] = places(rows[order])
    return rank
