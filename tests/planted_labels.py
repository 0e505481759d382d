"""Blobs of features with wrong labels among them."""

import numpy as np

from factories import CLASSES, label_error_settings
from tandem.curation.label_errors.scores import LabelIssues
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.samples import Sample, Samples

SETTINGS = label_error_settings()
SWAPPED = {3: "truck", 70: "car", 101: "motorcycle"}  # row -> the label that it was given
OUTLIER = 50


def blobs(num: int = 120, dim: int = 32, seed: int = 0) -> np.ndarray:
    """(num, dim) features around three centers, in turn; those of OUTLIER lie elsewhere."""
    rng = np.random.default_rng(seed)
    centers = 3 * rng.normal(size=(3, dim))
    features = centers[np.arange(num) % 3] + rng.normal(size=(num, dim))
    features[OUTLIER] = 3 * rng.normal(size=dim)
    return features.astype(np.float32)


def by_backbone(*features: np.ndarray) -> dict[str, np.ndarray]:
    """Each with a second TTA view that says nothing."""
    return {f"net{number}": np.stack([each, 0 * each], axis=1) for number, each in enumerate(features)}


def sample(row: int, label: str, split: str = "train", group: str = "") -> Sample:
    """Its own group, if none is given."""
    return Sample(f"{row:03}", label, "web", group or f"{row:03}", split, "" if split else "duplicate of 000")


def labelled(num: int = 120) -> Samples:
    """The classes in turn, but for SWAPPED; every tenth image is excluded."""
    labels = [SWAPPED.get(row, CLASSES[row % 3]) for row in range(num)]
    splits = ["" if row % 10 == 9 else ("train", "val", "test")[row % 3] for row in range(num)]
    return Samples.of(
        CLASSES, [sample(row, label, split) for row, (label, split) in enumerate(zip(labels, splits, strict=True))]
    )


def index(num: int = 120) -> Index:
    """One file an image."""
    return Index.of(
        ImageRecord(f"{row:03}", "car", f"{row}.jpg", 9, 9, (), (Origin("web", f"{row}.jpg", "x"),))
        for row in range(num)
    )


def members_of(issues: LabelIssues, target: int) -> np.ndarray:
    """Positions of the images of a class."""
    return np.flatnonzero(issues.targets == target)
