"""What benchmarks/million.py compares: features, hashes and keys of keypoints, with planted near duplicates."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.curation.duplicates.alignment import NUM_POINTS
from tandem.curation.duplicates.descriptions import NUM_KEYS
from tandem.images.hashing import in_orientations

SEED = 0
FLIPPED = (22, 40, 60)  # bits of planted near duplicates
SHARED = (12, 24, 48)  # keys of theirs
NUM_PLANTED = 1000  # pairs of each kind, at most
FRACTIONS = {"train": 0.75, "val": 0.1, "test": 0.15}
_KEY_BITS = 48
_DIMENSIONS = 11  # of what keys are signs of: strangers share as many as photographs do, see below
_CHUNK = 500  # images whose keys are drawn at a time


class Generated(NamedTuple):
    """Of N images: features (N, 1280), hashes (N, 8, 32), keys (N, 4, 100), and the rows of each split.

    planted_hashes, planted_keys: by bits flipped and by keys shared, (P, 2) rows.
    """

    features: np.ndarray
    hashes: np.ndarray
    keys: np.ndarray
    rows: Mapping[str, np.ndarray]
    planted_hashes: Mapping[int, np.ndarray]
    planted_keys: Mapping[int, np.ndarray]


def load_generated(features_path: Path, keys_path: Path, size: int) -> Generated:
    """Both files are mapped, not read."""
    hashes, planted = planted_hashes(size)
    keys_planted = dict(zip(SHARED, _planted_pairs(size), strict=True))
    features, keys = (np.load(path, mmap_mode="r") for path in (features_path, keys_path))
    return Generated(features, hashes, keys, random_splits(size), planted, keys_planted)


def planted_hashes(size: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """(N, 8, 32) and, by the bits that are flipped, (P, 2) rows of near duplicates: one is the other, turned by 90
    degrees."""
    rng = np.random.default_rng(SEED)
    hashes = rng.integers(256, size=(size, 8, 32), dtype=np.uint8)
    planted = dict(zip(FLIPPED, _planted_pairs(size), strict=True))
    for bits, pairs in planted.items():
        for one, other in pairs.tolist():
            signs = rng.choice([-1.0, 1.0], size=(16, 16))
            turned = in_orientations(signs)[5]
            turned.ravel()[rng.permutation(256)[:bits]] *= -1
            for row, each in ((one, signs), (other, turned)):
                hashes[row] = np.packbits(in_orientations(each).reshape(8, 256) > 0, axis=1)
    return hashes, planted


def write_keys(path: Path, size: int) -> None:
    """(N, 4, 100) uint64. Of each kind of planted pairs so many of the keys are equal.

    Keys are the signs of random projections of normal vectors. With 11 dimensions strangers share about as many keys as
    photographs do: 47 an image of 1,408 where 35 bits are compared, and 31 where 37 are; the photographs of the
    vehicles and scenes archives, of which some are near duplicates, share 42 and 28.
    """
    rng = np.random.default_rng(SEED + 2)
    projections = rng.standard_normal((_DIMENSIONS, NUM_KEYS * _KEY_BITS), dtype=np.float32)
    keys = np.lib.format.open_memmap(path, mode="w+", dtype="<u8", shape=(size, NUM_KEYS, NUM_POINTS))
    for start in range(0, size, _CHUNK):
        count = min(_CHUNK, size - start)
        signs = rng.standard_normal((count * NUM_POINTS, _DIMENSIONS), dtype=np.float32) @ projections > 0
        padded = np.zeros((count, NUM_POINTS, NUM_KEYS, 8), dtype=np.uint8)
        bits = signs.reshape(count, NUM_POINTS, NUM_KEYS, _KEY_BITS)
        padded[..., : _KEY_BITS // 8] = np.packbits(bits, axis=3, bitorder="little")
        keys[start : start + count] = padded.view("<u8")[..., 0].transpose(0, 2, 1)
    for shared, pairs in zip(SHARED, _planted_pairs(size), strict=True):
        for one, other in pairs.tolist():
            kinds, points = np.divmod(rng.permutation(NUM_KEYS * NUM_POINTS)[:shared], NUM_POINTS)
            keys[other, kinds, points] = keys[one, kinds, points]


def random_splits(size: int) -> dict[str, np.ndarray]:
    """Rows of each split: of near duplicates about half lie across."""
    splits = np.random.default_rng(SEED + 1).choice(len(FRACTIONS), size=size, p=list(FRACTIONS.values()))
    return {name: np.flatnonzero(splits == number) for number, name in enumerate(FRACTIONS)}


def _planted_pairs(size: int) -> list[np.ndarray]:
    rows = np.random.default_rng(SEED).permutation(size)
    number = 2 * min(NUM_PLANTED, size // 10)
    return [rows[at * number : (at + 1) * number].reshape(-1, 2) for at in range(len(FLIPPED))]
