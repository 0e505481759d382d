"""Which images are excluded from all splits, and why: near duplicates of one that is used, conflicts, and drops.

A person's decisions (tandem.tables.decisions) go before all else, and hold for all near duplicates of the image.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Literal

import numpy as np

from tandem.tables.decisions import Decisions
from tandem.tables.index import ImageRecord

# the first words of exclusion reasons
DROPPED, CONFLICT, DUPLICATE = "dropped", "conflict", "duplicate"


def relabel(
    records: Sequence[ImageRecord], duplicate_set_of: np.ndarray, labels: Mapping[str, str]
) -> tuple[ImageRecord, ...]:
    """The records with the classes that a person decided on. labels: id -> class.

    A class that was decided for one image holds for all of its set of near duplicates, unless two classes were.
    """
    decided = defaultdict(set)
    for record, number in zip(records, duplicate_set_of.tolist(), strict=True):
        if record.id in labels:
            decided[number].add(labels[record.id])
    of_set = {number: min(classes) for number, classes in decided.items() if len(classes) == 1}
    return tuple(
        replace(record, label=labels.get(record.id, of_set.get(number, record.label)))
        for record, number in zip(records, duplicate_set_of.tolist(), strict=True)
    )


def exclusion_reasons(
    records: Sequence[ImageRecord],
    duplicate_set_of: np.ndarray,
    *,
    duplicates: Literal["keep_one", "keep_together"],
    decisions: Decisions,
) -> list[str]:
    """Why each record is excluded, or "". duplicate_set_of: (N,) a number for each set of near duplicates.

    Near duplicates under several classes are all excluded, but for those that a person keeps.
    """
    drops, kept = decisions.drops, decisions.kept
    sets = defaultdict(list)
    for record, number in zip(records, duplicate_set_of.tolist(), strict=True):
        sets[number].append(record)
    reasons: dict[str, str] = {}
    for images in sets.values():
        reasons |= _reasons_in_set(images, keeps_one=duplicates == "keep_one", drops=drops, kept=kept)
    return [reasons.get(record.id, "") for record in records]


def _reasons_in_set(
    images: Sequence[ImageRecord], *, keeps_one: bool, drops: Mapping[str, str], kept: Set[str]
) -> dict[str, str]:
    """Id -> why the image is excluded, for those of one set of near duplicates that are."""
    preferred = [image for image in images if image.id in kept] or images
    dropped = [drops[image.id] for image in images if image.id in drops]
    classes = {image.label for image in preferred}
    best = max(preferred, key=lambda image: (image.width * image.height, image.id))
    reasons = {}
    for image in images:
        if image.id in kept:
            continue
        if dropped:
            reasons[image.id] = f"{DROPPED}: {dropped[0]}"
        elif classes != {image.label}:
            names = " and ".join(sorted({each.label for each in images}))
            reasons[image.id] = f"{CONFLICT}: near duplicates are labelled {names}"
        elif keeps_one and image is not best:
            reasons[image.id] = f"{DUPLICATE} of {best.id}"
    return reasons
