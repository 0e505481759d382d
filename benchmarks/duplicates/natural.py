"""Which originals are near duplicates of one another by nature, decided apart from the code that is measured.

At 512 px, SIFT keypoints matched by OpenCV, of the mirrored image too, a RANSAC homography with 20 inliers or more, and
pixels that correlate by 0.98 or more on the overlap.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ImageOps

from tandem.images.decode import decode

SIZE_PX = 512
NUM_KEYPOINTS = 600
MAX_RATIO = 0.75  # of the distances to the nearest and the second nearest keypoint (Lowe 2004)
MIN_INLIERS = 20
MIN_CORRELATION = 0.98
MIN_OVERLAP = 0.25  # of the smaller image
BLUR_PX = 2.0
NUM_NEIGHBORS = 5
MIN_COSINE = 0.5  # pairs that are less similar are not checked


class View(NamedTuple):
    """pixels: (H, W) gray. points: (n, 2) keypoints in px. descriptors: (n, 128)."""

    pixels: np.ndarray
    points: np.ndarray
    descriptors: np.ndarray


def nearest_neighbors(features: np.ndarray) -> np.ndarray:
    """(P, 2) each row and its NUM_NEIGHBORS, first < second, where they are similar at all."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    best = np.argsort(-cosines, axis=1)[:, :NUM_NEIGHBORS]
    i = np.repeat(np.arange(len(features)), best.shape[1])
    pairs = np.stack([i, best.ravel()], axis=1)[cosines[i, best.ravel()] >= MIN_COSINE]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def natural_duplicates(paths: Sequence[Path], pairs: np.ndarray) -> np.ndarray:
    """(P, 2) those of the pairs that show the same image, by the rule above."""

    @cache
    def view(row: int, is_mirrored: bool) -> View:
        return _view(paths[row], is_mirrored=is_mirrored)

    same = [
        any(correlation(view(i, is_mirrored), view(j, False)) >= MIN_CORRELATION for is_mirrored in (False, True))
        for i, j in pairs.tolist()
    ]
    return pairs[np.array(same, dtype=bool)]


def correlation(one: View, other: View) -> float:
    """Of the pixels once `one` lies over `other`; 0 where no homography is found."""
    homography = _homography(one, other)
    if homography is None:
        return 0.0
    size = other.pixels.shape[1], other.pixels.shape[0]
    inside = cv2.warpPerspective(np.full(one.pixels.shape, 255, np.uint8), homography, size) == 255
    if inside.sum() < MIN_OVERLAP * min(one.pixels.size, other.pixels.size):
        return 0.0
    warped = cv2.warpPerspective(one.pixels, homography, size)
    smooth = [cv2.GaussianBlur(pixels, (0, 0), BLUR_PX)[inside] for pixels in (warped, other.pixels)]
    return float(np.corrcoef(*smooth)[0, 1]) if min(part.std() for part in smooth) > 0 else 0.0


def _homography(one: View, other: View) -> np.ndarray | None:
    """(3, 3) from `one` to `other`; None where too few keypoints agree on it."""
    if min(len(one.descriptors), len(other.descriptors)) < MIN_INLIERS:
        return None
    nearest_two = cv2.BFMatcher(cv2.NORM_L2).knnMatch(one.descriptors, other.descriptors, k=2)
    clear = [first for first, second in nearest_two if first.distance < MAX_RATIO * second.distance]
    if len(clear) < MIN_INLIERS:
        return None
    start, end = one.points[[match.queryIdx for match in clear]], other.points[[match.trainIdx for match in clear]]
    homography, inliers = cv2.findHomography(start, end, cv2.RANSAC, 5.0)
    return homography if homography is not None and inliers.sum() >= MIN_INLIERS else None


def _view(path: Path, *, is_mirrored: bool) -> View:
    gray = decode(path.read_bytes(), min_side_px=1, max_pixels=2**63).image.convert("L")
    scale = SIZE_PX / max(gray.size)
    gray = gray.resize((max(1, round(gray.width * scale)), max(1, round(gray.height * scale))))
    pixels = np.asarray(ImageOps.mirror(gray) if is_mirrored else gray)
    keypoints, descriptors = cv2.SIFT.create(nfeatures=NUM_KEYPOINTS).detectAndCompute(pixels, None)
    points = np.array([keypoint.pt for keypoint in keypoints], dtype=np.float32).reshape(-1, 2)
    return View(pixels, points, np.zeros((0, 128), dtype=np.float32) if descriptors is None else descriptors)
