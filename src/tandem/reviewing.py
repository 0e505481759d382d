"""Curated pictures to a FiftyOne dataset, with Brain's opinion on them."""

from pathlib import Path

import numpy as np

from tandem import review
from tandem.records import Index, Record
from tandem.review import BrainFindings, Picture
from tandem.samples import Sample, Samples

DATASET = "tandem"
_TAGS = {"": (), "copy": ("copies",), "conflict": ("conflicts",), "dropped": ("dropped",)}  # by a note's first word


def build(
    index: Index, samples: Samples, *, features: np.ndarray, images_dir: Path, database_dir: Path, max_distance: float
) -> BrainFindings:
    """Rebuild the dataset: pictures that are used first, so that Brain keeps them and calls the others copies.

    features: (N, D), rows in the order of index and samples. max_distance: see tandem.review.
    """
    order = sorted(range(len(samples.samples)), key=lambda row: (samples.samples[row].note != "", row))
    pictures = [_picture(index.records[row], samples.samples[row], images_dir) for row in order]
    return review.build(
        name=DATASET, database_dir=database_dir, pictures=pictures, features=features[order], max_distance=max_distance
    )


def _picture(record: Record, sample: Sample, images_dir: Path) -> Picture:
    tags = _TAGS[sample.note.partition(" ")[0].rstrip(":")]
    return Picture(
        id=record.id,
        path=(images_dir / record.file).absolute(),
        label=sample.label,
        source=record.source,
        group=sample.group,
        split=sample.split,
        tags=tags,
        origins=tuple(f"{origin.source}/{origin.path}" for origin in record.origins),
    )
