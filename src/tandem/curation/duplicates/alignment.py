"""Geometric verification: whether two images show the same, by aligning one with the other and comparing the pixels.

Keypoints are matched, an affine map is fitted to the matches, one image is warped onto the other, and what overlaps is
correlated. This sees through a crop, a rotation, a mirror image, a frame, a caption, blur, gray, another size or
brightness; it tells two photographs of one thing apart. It costs a millisecond or two a pair, so it is for candidates.
"""

from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

SIDE_PX = 128
NUM_POINTS = 100
_CONTRAST = 0.02  # half of OpenCV's default: a blurred image has few points above that
_MAX_RATIO = 0.8  # of the distances to the best and to the second best match (Lowe, 2004)
_MIN_MATCHES = 6
_MAX_ERROR_PX = 2.0
_MAX_TRIALS = 300  # of RANSAC
_AREA_SCALES = (0.1, 10.0)  # of the map; beyond, it has collapsed
_MIN_OVERLAP = 0.25  # of the smaller image
_BLUR_PX = 1.0
_UNCLIPPED = (4, 250)  # grays beyond are black or white by exposure, and tell nothing
_MIN_UNCLIPPED = 0.3  # of the overlap; where less is left between black and white, all of it is compared
_MIN_DEVIATION = 1.0  # of grays; below, an image is flat and shows nothing
_POINT_BYTES = 2 * 4 + 128  # kept of a point
KEPT_BYTES = 2 + SIDE_PX**2 + NUM_POINTS * _POINT_BYTES  # of an image, at most
# A mirrored image's SIFT descriptor: 4 x 4 cells by 8 directions; rows and sense of turning are reversed.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()

cv2.setNumThreads(1)  # images this small take longer on several threads, and on a busy machine much longer


class Keypoints(NamedTuple):
    """gray: (h, w) uint8, the longer side SIDE_PX. points: (K, 2) float32, x and y in px.

    descriptors: (K, 128) float32, unit rows: square roots of L1-normalised SIFT (Arandjelovic and Zisserman, 2012).
    """

    gray: np.ndarray
    points: np.ndarray
    descriptors: np.ndarray


def packed_keypoints(data: bytes) -> np.ndarray:
    """(n,) uint8 of an encoded image, KEPT_BYTES at most, from which unpacked_keypoints makes its Keypoints."""
    with Image.open(BytesIO(data)) as image:
        image.draft("L", (2 * SIDE_PX, 2 * SIDE_PX))  # a JPEG is decoded at a fraction of its size
        gray = _small_gray(image)
    return _packed(gray, *_detected(gray))


def unpacked_keypoints(packed: np.ndarray) -> Keypoints:
    """Of packed_keypoints."""
    return _described(*_unpacked(packed))


def describe(image: Image.Image) -> Keypoints:
    """The gray thumbnail, keypoints and descriptors by which an image is compared. About 5 ms."""
    gray = _small_gray(image)
    return _described(gray, *_detected(gray))


def _small_gray(image: Image.Image) -> np.ndarray:
    """(h, w) uint8, the longer side SIDE_PX."""
    scale = SIDE_PX / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.convert("L").resize((width, height), Image.Resampling.BILINEAR))


def _detected(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) float32 points, and (K, 128) uint8 SIFT descriptors: OpenCV gives these as float32 of whole numbers."""
    found, rows = cv2.SIFT.create(nfeatures=NUM_POINTS, contrastThreshold=_CONTRAST).detectAndCompute(gray, None)
    points = np.array([point.pt for point in found[:NUM_POINTS]], dtype=np.float32).reshape(-1, 2)
    return points, np.zeros((0, 128), dtype=np.uint8) if rows is None else rows[:NUM_POINTS].astype(np.uint8)


def _described(gray: np.ndarray, points: np.ndarray, descriptors: np.ndarray) -> Keypoints:
    raw = descriptors.astype(np.float32)
    return Keypoints(gray, points, np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1)))


def _packed(gray: np.ndarray, points: np.ndarray, descriptors: np.ndarray) -> np.ndarray:
    """(n,) uint8: the width of the gray, the number of points, and all three."""
    sizes = np.array([gray.shape[1], len(points)], dtype=np.uint8)
    return np.concatenate([sizes, points.astype("<f4").view(np.uint8).ravel(), descriptors.ravel(), gray.ravel()])


def _unpacked(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gray, points and descriptors of _packed."""
    width, num_points = packed[:2].tolist()
    points, descriptors, gray = np.split(packed[2:], [8 * num_points, _POINT_BYTES * num_points])
    return gray.reshape(-1, width), points.copy().view("<f4").reshape(-1, 2), descriptors.reshape(-1, 128)


def mirrored(one: Keypoints) -> Keypoints:
    """The keypoints of the mirror image, from those of the image."""
    points = one.points.copy()
    points[:, 0] = one.gray.shape[1] - 1 - points[:, 0]
    return Keypoints(np.ascontiguousarray(one.gray[:, ::-1]), points, one.descriptors[:, _MIRRORED])


def correlation(one: Keypoints, other: Keypoints) -> float:
    """Pearson's correlation of the pixels in [-1, 1] where the images overlap, in the better of both mirrorings.

    0 where no map from one to the other is found, or where its overlap is too small.
    """
    return max(_correlation(one, other), _correlation(mirrored(one), other))


def _correlation(one: Keypoints, other: Keypoints) -> float:
    from_rows, to_rows = _matches(one.descriptors, other.descriptors)
    if len(from_rows) < _MIN_MATCHES:
        return 0.0
    # OpenCV samples from a fixed seed, so the same keypoints give the same map
    affine, inliers = cv2.estimateAffine2D(
        one.points[from_rows],
        other.points[to_rows],
        method=cv2.RANSAC,
        ransacReprojThreshold=_MAX_ERROR_PX,
        maxIters=_MAX_TRIALS,
        confidence=0.999,
    )
    if affine is None or inliers.sum() < _MIN_MATCHES:
        return 0.0
    return _warped_correlation(one.gray, other.gray, affine)


def _matches(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of descriptors that are each other's best match, and clearly better than the second best."""
    if len(one) < _MIN_MATCHES or len(other) < _MIN_MATCHES:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    cosines = one @ other.T
    rows, best = np.arange(len(one)), cosines.argmax(axis=1)
    is_mutual = cosines.argmax(axis=0)[best] == rows
    first = cosines[rows, best]
    cosines[rows, best] = -1
    # squared distances of unit rows are 2 - 2 cosines
    is_clear = 1 - first < _MAX_RATIO**2 * (1 - cosines.max(axis=1))
    keep = is_mutual & is_clear
    return rows[keep], best[keep]


def correlation_unaligned(one: Keypoints, other: Keypoints) -> float:
    """Pearson's correlation of the whole images in [-1, 1], stretched to one size, in the best of all orientations.

    1 where both are flat: nothing tells them apart.
    """
    size = other.gray.shape[1], other.gray.shape[0]
    is_flat = [keypoints.gray.std() < _MIN_DEVIATION for keypoints in (one, other)]
    if any(is_flat):
        return float(all(is_flat))
    turned = [np.rot90(gray, quarter) for gray in (one.gray, one.gray[:, ::-1]) for quarter in range(4)]
    resized = [cv2.resize(np.ascontiguousarray(gray), size, interpolation=cv2.INTER_AREA) for gray in turned]
    return max(_pearson(gray, other.gray, np.ones(other.gray.shape, dtype=bool)) for gray in resized)


def _warped_correlation(one: np.ndarray, other: np.ndarray, affine: np.ndarray) -> float:
    """Of the overlap once an affine map (2, 3) has warped one gray onto the other; 0 where there is too little."""
    if not _AREA_SCALES[0] < abs(np.linalg.det(affine[:, :2])) < _AREA_SCALES[1]:
        return 0.0
    size = other.shape[1], other.shape[0]
    inside = cv2.warpAffine(np.full(one.shape, 255, np.uint8), affine, size) == 255
    if inside.sum() < _MIN_OVERLAP * min(one.size, other.size):
        return 0.0
    return _pearson(cv2.warpAffine(one, affine, size), other, inside)


def _pearson(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    """Of two grays of one size, smoothed, where `inside` is true and neither is black or white."""
    smooth = [cv2.GaussianBlur(gray, (0, 0), _BLUR_PX) for gray in (one, other)]
    is_unclipped = inside & np.logical_and(*((_UNCLIPPED[0] < gray) & (gray < _UNCLIPPED[1]) for gray in smooth))
    compared = is_unclipped if is_unclipped.sum() >= _MIN_UNCLIPPED * inside.sum() else inside
    x, y = (gray[compared].astype(np.float64) for gray in smooth)
    deviations = x.std() * y.std()
    return float(((x - x.mean()) * (y - y.mean())).mean() / deviations) if deviations > 0 else 0.0
