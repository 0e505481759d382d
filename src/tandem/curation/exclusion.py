"""Which images are excluded from all splits, and why: near duplicates of one that is used, conflicts, and drops.

A person's decisions (tandem.tables.decisions) go before all else, and hold for all near duplicates of the image.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Literal

import numpy as np

from tandem.tables.decisions import Decisions
from tandem.tables.index import Index

# the first words of exclusion reasons
DROPPED, CONFLICT, DUPLICATE = "dropped", "conflict", "duplicate"


def relabel(index: Index, duplicate_set_of: np.ndarray, labels: Mapping[str, str]) -> Index:
    """The images under the classes that a person decided on. labels: id -> class.

    A class that was decided for one image holds for all of its set of near duplicates, unless two classes were.
    """
    decided = defaultdict(set)
    images = list(zip(index.ids, index.labels.tolist(), duplicate_set_of.tolist(), strict=True))
    for id_, _, number in images:
        if id_ in labels:
            decided[number].add(labels[id_])
    of_set = {number: min(classes) for number, classes in decided.items() if len(classes) == 1}
    relabelled = [labels.get(id_, of_set.get(number, label)) for id_, label, number in images]
    return index.with_labels(np.array(relabelled, dtype=np.str_))


def exclusion_reasons(
    index: Index,
    duplicate_set_of: np.ndarray,
    *,
    duplicates: Literal["keep_one", "keep_together"],
    decisions: Decisions,
) -> list[str]:
    """Why each image is excluded, or "". duplicate_set_of: (N,) a number for each set of near duplicates.

    Near duplicates under several classes are all excluded, but for those that a person keeps.
    """
    drops, kept = decisions.drops, decisions.kept
    sets = defaultdict(list)
    for row, number in enumerate(duplicate_set_of.tolist()):
        sets[number].append(row)
    reasons: dict[int, str] = {}
    for rows in sets.values():
        reasons |= _reasons_in_set(index, rows, keeps_one=duplicates == "keep_one", drops=drops, kept=kept)
    return [reasons.get(row, "") for row in range(len(index))]


def _reasons_in_set(
    index: Index, rows: Sequence[int], *, keeps_one: bool, drops: Mapping[str, str], kept: Set[str]
) -> dict[int, str]:
    """Row -> why the image is excluded, for those of one set of near duplicates that are."""
    ids, labels = {row: index.ids[row] for row in rows}, {row: str(index.labels[row]) for row in rows}
    preferred = [row for row in rows if ids[row] in kept] or rows
    dropped = [drops[id_] for id_ in ids.values() if id_ in drops]
    classes = {labels[row] for row in preferred}
    best = max(preferred, key=lambda row: (index.widths[row] * index.heights[row], row))
    reasons = {}
    for row in rows:
        if ids[row] in kept:
            continue
        if dropped:
            reasons[row] = f"{DROPPED}: {dropped[0]}"
        elif classes != {labels[row]}:
            names = " and ".join(sorted(set(labels.values())))
            reasons[row] = f"{CONFLICT}: near duplicates are labelled {names}"
        elif keeps_one and row != best:
            reasons[row] = f"{DUPLICATE} of {ids[best]}"
    return reasons
