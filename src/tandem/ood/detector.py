"""How far the features of an image are from those of every class: by their angle to the nearest class mean.

Features are scaled to length 1, so that how strongly a backbone responds, as to contrast, counts for nothing; of all
scores tried on photographs this one tells most (benchmarks/unknown.py). The cosine to a class mean: Techapanurak et al.
2020 (https://arxiv.org/abs/1905.10628); why features are normalized: Sun et al. 2022 (https://arxiv.org/abs/2204.06507).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.files import atomic_dir, load_arrays, reading
from tandem.tables.samples import Split
from tandem.tables.splits import stratified_group_folds

SMALLEST_NORM = 1e-12  # of features; those of a black image may be all 0
_NUM_FOLDS, _BATCH_SIZE = 5, 4096
_ARRAYS = ("means", "scale", "ids", "scores")


@dataclass(frozen=True, eq=False)
class OodDetector:
    """means: (C, D) float32, of length 1. center, scale: mean and standard deviation of distances in distribution."""

    means: np.ndarray
    center: float
    scale: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """(n, D) or, of k TTA views, (n, k, D) float32 to (n, C) float32, the distance to the mean of each class.

        One less the cosine, of views the mean, in standard deviations above what images have to their nearest class.
        """
        starts = range(0, max(1, len(features)), _BATCH_SIZE)
        parts = [_distances(unit_features(features[at : at + _BATCH_SIZE]), self.means) for at in starts]
        return ((np.concatenate(parts) - self.center) / self.scale).astype(np.float32)


def fit_detector(features: np.ndarray, split: Split) -> OodDetector:
    """The detector of a split's images, which are of all classes. features: (N, D) or (N, k, D) of all images.

    Distances are standardized by those that images have to means without their fold of groups: to means that they are
    part of, they are nearer.
    """
    unit = unit_features(features[split.rows])
    sums = _sums(unit, split.targets, num_classes := int(split.targets.max(initial=0)) + 1)
    fold_of = stratified_group_folds(split.targets, split.groups, num_folds=_NUM_FOLDS, seed=0)
    held_out = np.zeros(len(split))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        others = sums - _sums(unit[inside], split.targets[inside], num_classes)
        held_out[inside] = _distances(unit[inside], normalized(others)).min(axis=1)
    return OodDetector(normalized(sums), float(held_out.mean()), float(held_out.std()) or 1.0)


def normalized(vectors: np.ndarray) -> np.ndarray:
    """(..., D) to float32 of length 1; 0 stays 0."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(norms, SMALLEST_NORM)).astype(np.float32)


def unit_features(features: np.ndarray) -> np.ndarray:
    """(n, D) or (n, k, D) to (n, D) float32: of length 1, or the mean of the views, each of which has that."""
    unit = normalized(features)
    return unit.mean(axis=1) if unit.ndim == 3 else unit


def joined_scores(distances: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) OOD scores of a model: the mean over its backbones of the distance (n, C) to their nearest class."""
    return np.stack([each.min(axis=1) for each in distances]).mean(axis=0, dtype=np.float64)


def fit_detectors(features: Mapping[str, np.ndarray], split: Split) -> dict[str, OodDetector]:
    """Backbone -> its detector. features: backbone -> as fit_detector takes them."""
    return {name: fit_detector(each, split) for name, each in features.items()}


def save_detectors(
    detectors: Mapping[str, OodDetector], features: Mapping[str, np.ndarray], *, ids: Sequence[str], folder: Path
) -> dict[str, np.ndarray]:
    """Write `folder`, whole or not at all; backbone -> (N, C) distances of all images, of which the least is kept.

    A file a backbone, <backbone>.npz: the detector, and the OOD scores of the images by it.
    """
    found = {name: detector.distances(features[name]) for name, detector in detectors.items()}
    with atomic_dir(folder) as temporary:
        for name, detector in detectors.items():
            scale = np.array([detector.center, detector.scale])
            values = detector.means, scale, np.array(ids), found[name].min(axis=1)
            with (temporary / f"{name}.npz").open("wb") as file:
                np.savez(file, **dict(zip(_ARRAYS, values, strict=True)))
    return found


def load_detector(path: Path) -> OodDetector:
    """Read the detector of one backbone. Raises DamagedFileError."""
    means, scale = load_arrays(path, _ARRAYS[:2])
    with reading(path):
        if means.ndim != 2 or scale.shape != (2,) or not (np.isfinite(means).all() and np.isfinite(scale).all()):
            raise ValueError("its arrays are not those of a detector")
        return OodDetector(means, *scale.tolist())


def load_ood_scores(paths: Sequence[Path], *, ids: Sequence[str]) -> np.ndarray:
    """(N,) OOD scores of all images by a model that reads these backbones, by the files that save_detectors wrote.

    Raises DamagedFileError unless they are of these ids, in this order.
    """
    found = []
    for path in paths:
        of_file, scores = load_arrays(path, _ARRAYS[2:])
        with reading(path):
            if of_file.tolist() != list(ids) or scores.shape != (len(ids),) or not np.isfinite(scores).all():
                raise ValueError("its scores are of other images")
        found.append(scores[:, None])
    return joined_scores(found)


def _distances(unit: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(n, D) to (n, C): one less the cosine. The same bytes whatever the number of cores."""
    with threadpool_limits(limits=1):
        return 1 - unit @ means.T


def _sums(unit: np.ndarray, targets: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, D) float64 sums of the rows (n, D) of each class."""
    sums = np.zeros((num_classes, unit.shape[-1]))
    for target in np.unique(targets):
        sums[target] = unit[targets == target].sum(axis=0, dtype=np.float64)
    return sums
