"""Curated pictures to a FiftyOne dataset: for Brain's opinion on them, and for a person who decides."""

from pathlib import Path

import numpy as np

from tandem import database, review
from tandem.decisions import Decisions
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
    with database.opened(database_dir) as fiftyone:
        shown, rows = pictures(index, samples, images_dir)
        given = {"pictures": shown, "features": features[rows], "max_distance": max_distance}
        return review.fill(fiftyone, name=DATASET, **given)[1]


def pictures(
    index: Index, samples: Samples, images_dir: Path, decisions: Decisions | None = None
) -> tuple[list[Picture], np.ndarray]:
    """The pictures to show, those that are used first, and their rows in the index.

    decisions: their classes are shown, and their tags; None: the classes that curation gave.
    """
    order = sorted(range(len(samples.samples)), key=lambda row: (samples.samples[row].note != "", row))
    made = [_picture(index.records[row], samples.samples[row], images_dir, decisions) for row in order]
    return made, np.array(order, dtype=np.int64)


def _picture(record: Record, sample: Sample, images_dir: Path, decisions: Decisions | None) -> Picture:
    tags = _TAGS[sample.note.partition(" ")[0].rstrip(":")]
    label = sample.label if decisions is None else decisions.labels.get(record.id, record.label)
    return Picture(
        id=record.id,
        path=(images_dir / record.file).absolute(),
        label=label,
        source=record.source,
        group=sample.group,
        split=sample.split,
        tags=(*tags, *(decisions.tags(record.id) if decisions else ())),
        origins=tuple(f"{origin.source}/{origin.path}" for origin in record.origins),
    )
