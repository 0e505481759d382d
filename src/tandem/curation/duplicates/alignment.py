"""Geometric verification: whether two images show the same, by aligning one with the other and comparing the pixels.

Keypoints are matched, an affine map is fitted to the matches, one image is warped onto the other, and what overlaps is
correlated. This sees through a crop, a rotation, a mirror image, a frame, a caption, blur, gray, another size or
brightness; it tells two photographs of one thing apart. It costs a millisecond or two a pair, so it is for candidates.

Where a map is found and the pixels do not agree, something may have been laid over one of the images: a watermark, a
logo, a bar. Then the pixels that do not follow the others are looked for; where they lie close together and cover a
quarter of the overlap at most, the rest is correlated. Of different images hardly any come so far.
"""

from collections.abc import Iterator
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
_SURE = 0.99  # a correlation from which on nothing can be laid over an image
_MAX_COVERED = 0.25  # of the overlap, by what is laid over it; by a third, cars before one pattern would be one image
_COVERED_COST = 0.15  # of the correlation, for all of the overlap: the less is compared, the better it must agree
_FITTED = 0.75  # of the pixels, those that agree best, say how one image's grays follow the other's
_FIT_ROUNDS = 4
_OUTLIERS = (8.0, 16.0, 32.0)  # grays off, from the least: where a map is inexact, edges are off by as much; or
_OUTLIER_DEVIATIONS = 4.0  # of those that agree
_MIN_COVER_PX, _COVER_MARGIN_PX = 3, 3  # edges, which are off where maps are inexact, are thinner than that
_POINT_BYTES = 2 * 4 + 128  # kept of a point
KEPT_BYTES = 2 + SIDE_PX**2 + NUM_POINTS * _POINT_BYTES  # of an image, at most
# A mirrored image's SIFT descriptor: 4 x 4 cells by 8 directions; rows and sense of turning are reversed.
MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()

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
    return Keypoints(np.ascontiguousarray(one.gray[:, ::-1]), points, one.descriptors[:, MIRRORED])


def correlation(one: Keypoints, other: Keypoints) -> float:
    """Pearson's correlation of the pixels in [-1, 1] where the images overlap, in the better of both mirrorings.

    0 where no map from one to the other is found, or where its overlap is too small. Where something is laid over one
    of the images, of the rest, less 0.15 of the fraction that it covers.
    """
    return max(_correlation(turned.gray, other.gray, _affine(turned, other)) for turned in (one, mirrored(one)))


def _correlation(one: np.ndarray, other: np.ndarray, affine: np.ndarray | None) -> float:
    if affine is None:
        return 0.0
    plain = _warped_correlation(one, other, affine)
    return plain if plain >= _SURE else max(plain, _uncovered_correlation(one, other, affine))


def _affine(one: Keypoints, other: Keypoints) -> np.ndarray | None:
    """The map (2, 3) from one to the other that their keypoints agree on; None where too few do."""
    from_rows, to_rows = _matches(one.descriptors, other.descriptors)
    if len(from_rows) < _MIN_MATCHES:
        return None
    # OpenCV samples from a fixed seed, so the same keypoints give the same map
    affine, inliers = cv2.estimateAffine2D(
        one.points[from_rows],
        other.points[to_rows],
        method=cv2.RANSAC,
        ransacReprojThreshold=_MAX_ERROR_PX,
        maxIters=_MAX_TRIALS,
        confidence=0.999,
    )
    return affine if affine is not None and inliers.sum() >= _MIN_MATCHES else None


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
    inside = _overlap(one, other, affine)
    return 0.0 if inside is None else _pearson(_warped(one, other, affine), other, inside)


def _uncovered_correlation(one: np.ndarray, other: np.ndarray, affine: np.ndarray) -> float:
    """As _warped_correlation, of the pixels that nothing is laid over, less _COVERED_COST for what is."""
    inside = _overlap(one, other, affine)
    if inside is None:
        return 0.0
    inside = cv2.erode(inside.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)  # smoothing mixes in what is beyond
    x, y = (
        cv2.GaussianBlur(gray, (0, 0), _BLUR_PX).astype(np.float32) for gray in (_warped(one, other, affine), other)
    )
    compared, found = _compared(x, y, inside), [0.0]
    for is_covered in _covers(x, y, compared) if compared.any() else ():
        fraction = float(is_covered.sum() / compared.sum())
        if fraction <= _MAX_COVERED:
            found.append(_pearson_of(x, y, compared & ~is_covered) - _COVERED_COST * fraction)
    return max(found)


def _covers(x: np.ndarray, y: np.ndarray, compared: np.ndarray) -> Iterator[np.ndarray]:
    """(h, w) bool: where grays y do not follow x as most of the compared ones do, in patches of _MIN_COVER_PX or more.

    By least squares over the pixels that fit best, found in rounds (least trimmed squares; Rousseeuw, 1984); for each
    of _OUTLIERS.
    """
    inner_x, inner_y = x[compared], y[compared]
    fits = np.ones(len(inner_x), dtype=bool)
    for _ in range(_FIT_ROUNDS):
        from_x, from_y = inner_x - inner_x[fits].mean(), inner_y - inner_y[fits].mean()
        slope = (from_x[fits] * from_y[fits]).sum() / max((from_x[fits] ** 2).sum(), 1e-9)
        error = np.abs(from_y - slope * from_x)
        fits = error <= np.quantile(error, _FITTED)
    deviation = 1.4826 * float(np.median(error[fits]))  # of the normal distribution, by its median
    side = 2 * _COVER_MARGIN_PX + 1
    for outlier in _OUTLIERS:
        is_off = np.zeros(x.shape, np.uint8)
        is_off[compared] = error > max(_OUTLIER_DEVIATIONS * deviation, outlier)
        patches = cv2.morphologyEx(is_off, cv2.MORPH_OPEN, np.ones((_MIN_COVER_PX, _MIN_COVER_PX), np.uint8))
        yield compared & cv2.dilate(patches, np.ones((side, side), np.uint8)).view(bool)


def _overlap(one: np.ndarray, other: np.ndarray, affine: np.ndarray) -> np.ndarray | None:
    """(h, w) bool: where one gray comes to lie on the other; None where there is too little, or the map collapsed."""
    if not _AREA_SCALES[0] < abs(np.linalg.det(affine[:, :2])) < _AREA_SCALES[1]:
        return None
    inside = cv2.warpAffine(np.full(one.shape, 255, np.uint8), affine, other.shape[::-1]) == 255
    return None if inside.sum() < _MIN_OVERLAP * min(one.size, other.size) else inside


def _warped(one: np.ndarray, other: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(one, affine, other.shape[::-1])


def _pearson(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    """Of two grays of one size, smoothed, where `inside` is true and neither is black or white."""
    x, y = (cv2.GaussianBlur(gray, (0, 0), _BLUR_PX) for gray in (one, other))
    return _pearson_of(x, y, _compared(x, y, inside))


def _compared(x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(h, w) bool: where two smoothed grays are neither black nor white; all that is inside where little is left."""
    is_unclipped = inside & np.logical_and(*((_UNCLIPPED[0] < gray) & (gray < _UNCLIPPED[1]) for gray in (x, y)))
    return is_unclipped if is_unclipped.sum() >= _MIN_UNCLIPPED * inside.sum() else inside


def _pearson_of(x: np.ndarray, y: np.ndarray, compared: np.ndarray) -> float:
    """Of the compared pixels; 0 where either is flat."""
    if not compared.any():
        return 0.0
    x, y = (gray[compared].astype(np.float64) for gray in (x, y))
    deviations = x.std() * y.std()
    return float(((x - x.mean()) * (y - y.mean())).mean() / deviations) if deviations > 0 else 0.0
