"""A second measure of pairs that verification found different, for those of them that lie in two splits.

The leakage check excuses similar pairs that were verified by their pixels and rejected (.duplicates). Were that
verification at fault, copies would be excused with them. So each excused pair is judged again, by code that shares
nothing with it: the correlation of thumbnails of 16 x 16 grays in the best of eight orientations, the distance of the
hashes, and the cosine of the features. A pair that two of the three find near is disputed: it is listed and counted.
Where disputed pairs are many, or one is as near as a copy of the same file, curation stops. Of all this thumbnails
alone are kept from one run to the next, in a file of their own; each run judges all of its pairs.

Measured (rejected pairs over near duplicates): of the sample's 3025 none is near, over 177 of 435; of 1053 photographs'
5838 two are, none of them across splits, over 36 of 44. As near as copies are none, over 120 of 435 and 36 of 44. The
others are crops and the like, of which a whole thumbnail tells nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tandem.cache.once import compute_once
from tandem.cache.recipe import circumstances
from tandem.errors import LeakageError
from tandem.files import write_csv
from tandem.types import Encoded

_SIDE_PX = 16
_NEAR_PIXELS, _NEAR_HASH = 0.9, 40  # correlation, and bits of 256; of cosines: half of what min_similarity leaves to 1
_COPY_PIXELS, _COPY_HASH = 0.99, 16
_MAX_DISPUTED = 3  # pairs, or
_MAX_FRACTION = 0.001  # of the pairs that are judged, where these are more
_MIN_DEVIATION = 1.0  # of grays; below, an image is flat
_MIN_SET_BITS = 96  # a flat image's hash means nothing; see tandem.images.hashing
_CHUNK = 4096  # pairs at a time: some 40 MB
_PART = 16_384  # pairs, or images, whose thumbnails are held at once: some 100 MB
_NUM_LISTED = 3  # in a message
_CODE, _LIBRARIES = ("curation/disputed.py",), ("numpy", "pillow")  # of which thumbnails come
_COLUMNS = ("first", "second", "thumbnail_correlation", "hash_distance", "similarity")


@dataclass(frozen=True, eq=False)
class Disputed:
    """pairs: (P, 2) rows that verification found different and the second measure finds near. num_judged: of how many.

    correlation: (P,) of their thumbnails, in [-1, 1]. hash_distance: (P,) of 256 bits. similarity: (P,) cosines.
    """

    pairs: np.ndarray
    correlation: np.ndarray
    hash_distance: np.ndarray
    similarity: np.ndarray
    num_judged: int

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def is_copy(self) -> np.ndarray:
        """(P,) whether thumbnails and hashes are as near as those of two copies of one file."""
        return (self.correlation >= _COPY_PIXELS) & (self.hash_distance <= _COPY_HASH)


def thumbnails_reader(
    images: Sequence[Encoded], sha256: Sequence[str], *, max_gb: float
) -> Callable[[Sequence[int]], np.ndarray]:
    """Row numbers -> (n, 16, 16) float32 grays of images, stretched to squares; an image is decoded once in its life.

    All of them when the first are asked for, unless nothing is kept: which ones are judged changes with labels and
    splits. sha256: of each image's bytes, by which thumbnails are kept. max_gb: of all stores, see compute_once.
    """

    def compute(rows: Sequence[int]) -> np.ndarray:
        return compute_once(
            [sha256[row] for row in rows],
            lambda at: _thumbnail(images[rows[at]]),
            recipe={"value": "thumbnail", **circumstances(_CODE, _LIBRARIES)},
            shape=(_SIDE_PX, _SIDE_PX),
            dtype="<f4",
            max_gb=max_gb,
            desc="judge excused pairs",
        )

    @cache
    def compute_all() -> None:
        for start in range(0, len(sha256), _PART):
            compute(range(len(sha256))[start : start + _PART])

    def read(rows: Sequence[int]) -> np.ndarray:
        compute_all()
        return compute(rows)

    return read if max_gb else compute


def find_disputed(
    pairs: np.ndarray,
    *,
    features: np.ndarray,
    hashes: np.ndarray,
    thumbnails_of: Callable[[Sequence[int]], np.ndarray],
    min_similarity: float,
) -> Disputed:
    """Those of pairs of rows (P, 2) that are near by two of: thumbnails, hashes, features.

    features: (N, D). hashes: (N, 8, 32) packed bits. thumbnails_of: n rows -> (n, 16, 16), as of thumbnails_reader.
    min_similarity: the cosine from which on pairs are candidates; above the middle between it and 1 they are near.
    """
    correlation = _thumbnail_correlation(pairs, thumbnails_of)
    distance = _hash_distance(hashes, pairs)
    similarity = _cosine(features, pairs)
    votes = [correlation >= _NEAR_PIXELS, distance <= _NEAR_HASH, similarity >= (1 + min_similarity) / 2]
    is_near = np.sum(votes, axis=0) >= 2
    return Disputed(pairs[is_near], correlation[is_near], distance[is_near], similarity[is_near], len(pairs))


def require_undisputed(disputed: Disputed, ids: Sequence[str]) -> None:
    """Raise LeakageError for a pair as near as copies, and for more than 3 pairs (or 1 in 1000 of those judged)."""
    limit = max(_MAX_DISPUTED, int(_MAX_FRACTION * disputed.num_judged))
    is_copy = disputed.is_copy
    if len(disputed) <= limit and not is_copy.any():
        return
    nearest = np.lexsort((-disputed.correlation, ~is_copy))[:_NUM_LISTED].tolist()
    listed = "; ".join(
        f"{ids[disputed.pairs[at, 0]]} and {ids[disputed.pairs[at, 1]]} (thumbnails correlate by "
        f"{disputed.correlation[at]:.3f}, hash distance {disputed.hash_distance[at]} of 256)"
        for at in nearest
    )
    raise LeakageError(
        f"{len(disputed)} pairs in two splits were verified as different, but a second measure finds them near, "
        f"{is_copy.sum()} of them like copies of one file; {limit} may be so, and no copies. The nearest: {listed}. "
        "Look at them and decide on each (duplicate or not_duplicate, see docs/reviewing.md), or lower "
        "curate.min_correlation; where they are clearly the same images, the verification is at fault: report this"
    )


def save_disputed(disputed: Disputed, ids: Sequence[str], path: Path) -> None:
    """Write the pairs as CSV: both ids and the three measures; the header alone where there are none."""
    columns = (*disputed.pairs.T, disputed.correlation, disputed.hash_distance, disputed.similarity)
    values = zip(*(column.tolist() for column in columns), strict=True)
    rows = [dict(zip(_COLUMNS, (ids[i], ids[j], *rest), strict=True)) for i, j, *rest in values]
    write_csv(path, rows, columns=_COLUMNS)


def _cosine(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) float64 cosine of each pair of rows (P, 2) of features (N, D); 0 for a row of zeros."""
    found = [np.zeros(0)]
    for start in range(0, len(pairs), _CHUNK):
        one, other = (features[rows].astype(np.float64) for rows in pairs[start : start + _CHUNK].T)
        norms = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        found.append((one * other).sum(axis=1) / np.where(norms > 0, norms, 1))
    return np.concatenate(found)


def _hash_distance(hashes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) int: bits that differ, of 256, between an upright hash and the best of the other's eight; 256 where flat."""
    words = np.ascontiguousarray(hashes).view(np.uint64)  # (N, 8, 4)
    is_flat = np.bitwise_count(words).sum(axis=2) < _MIN_SET_BITS
    best = np.full(len(pairs), 256)
    for upright, turned in (pairs.T, pairs.T[::-1]):
        for orientation in range(words.shape[1]):
            distance = np.bitwise_count(words[upright, 0] ^ words[turned, orientation]).sum(axis=1, dtype=np.int64)
            is_usable = ~is_flat[upright, 0] & ~is_flat[turned, orientation]
            best = np.where(is_usable, np.minimum(best, distance), best)
    return best


def _thumbnail(encoded: Encoded) -> np.ndarray:
    with Image.open(BytesIO(encoded.read_bytes())) as image:
        image.draft("L", (4 * _SIDE_PX, 4 * _SIDE_PX))  # a JPEG is decoded at a fraction of its size
        return np.asarray(image.convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX))


def _thumbnail_correlation(pairs: np.ndarray, thumbnails_of: Callable[[Sequence[int]], np.ndarray]) -> np.ndarray:
    """(P,) Pearson's correlation of thumbnails in the best of eight orientations; 1 where both are flat."""
    parts = [pairs[start : start + _PART] for start in range(0, len(pairs), _PART)]
    return np.concatenate([np.zeros(0), *(_correlation_of_part(part, thumbnails_of) for part in parts)])


def _correlation_of_part(pairs: np.ndarray, thumbnails_of: Callable[[Sequence[int]], np.ndarray]) -> np.ndarray:
    numbers, at = np.unique(pairs, return_inverse=True)
    at = at.reshape(pairs.shape)
    thumbnails = thumbnails_of(numbers.tolist())
    deviation = thumbnails.std(axis=(1, 2))
    is_flat = deviation < _MIN_DEVIATION
    centered = thumbnails - thumbnails.mean(axis=(1, 2), keepdims=True)
    unit = np.where(is_flat[:, None, None], 0, centered / (_SIDE_PX * np.maximum(deviation, 1e-9))[:, None, None])
    best = np.where(is_flat[at].all(axis=1), 1.0, -1.0)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        one, other = unit[at[part, 0]], unit[at[part, 1]]
        for image in (one, one[:, :, ::-1]):
            for quarter in range(4):
                products = (np.rot90(image, quarter, axes=(1, 2)) * other).sum(axis=(1, 2))
                best[part] = np.maximum(best[part], products)
    return best
