"""A perceptual hash of 256 bits in the eight orientations of an image.

The hash is the classic DCT hash ("pHash"; the same bits as imagehash.phash(hash_size=16) of the 64 x 64 thumbnail): the
sign, against their median, of the 16 x 16 lowest DCT coefficients of the gray image. Mirroring an image flips the sign
of its odd coefficients and transposing it transposes them, so one transform gives all eight orientations.
"""

import numpy as np
from PIL import Image

NUM_BITS = 256
NUM_ORIENTATIONS = 8
_THUMBNAIL_PX = 64
_SIDE = 16
_MIN_SET_BITS = 96  # half of the bits lie above the median unless most coefficients are equal: a flat image


def dihedral_phashes(image: Image.Image) -> np.ndarray:
    """(8, 32) uint8: the packed hash of the image as it is (row 0), and mirrored and turned in all seven ways."""
    from scipy.fft import dct  # which those who read hashes do without

    gray = image.convert("L").resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.LANCZOS)
    pixels = np.asarray(gray, dtype=np.float64)
    low = dct(dct(pixels, axis=0), axis=1)[:_SIDE, :_SIDE]
    coefficients = in_orientations(low)
    bits = coefficients > np.median(coefficients, axis=(1, 2), keepdims=True)
    return np.packbits(bits.reshape(NUM_ORIENTATIONS, NUM_BITS), axis=1)


def in_orientations(low: np.ndarray) -> np.ndarray:
    """(8, 16, 16): the lowest coefficients (16, 16) of an image as it is, and mirrored and turned in all seven ways."""
    sign = np.where(np.arange(_SIDE) % 2 == 1, -1.0, 1.0)
    mirrored = [low, low * sign[None, :], low * sign[:, None], low * sign[:, None] * sign[None, :]]
    return np.stack([*mirrored, *(matrix.T for matrix in mirrored)])


def as_signs(hashes: np.ndarray) -> np.ndarray:
    """(N, 32) packed bits to (N, 256) float32 of +-1, all 0 for a flat image (its bits mean nothing).

    The cosine of two rows is then 1 - 2 * Hamming distance / 256, and 0 where an image is flat.
    """
    bits = np.unpackbits(hashes, axis=1).astype(np.float32)
    usable = bits.sum(axis=1, keepdims=True) >= _MIN_SET_BITS
    return np.where(usable, 2 * bits - 1, 0).astype(np.float32)


def similarity_of_distance(hash_distance: int) -> float:
    """The cosine between two rows of as_signs whose hashes have this Hamming distance (0 to 256)."""
    return 1 - 2 * hash_distance / NUM_BITS
