"""Which split a group belongs to: a hash of its name and a seed decides, and nothing else.

So a split is stable: images that are added never move a group that stays as it is, and a corrected label moves
none. Each group is drawn on its own, so the fractions hold for every class and every source alike, but on average
and not to the image: a rule that looked at how many are in a split already would have to move some later. A class
that is missing from a split is an error.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tandem.errors import LeakageError
from tandem.tables.samples import SPLITS


def assign_split(group: str, *, fractions: Mapping[str, float], seed: int) -> str:
    """One of SPLITS. fractions: share of the groups for each of them, adding up to 1."""
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    for split in SPLITS:
        position -= fractions[split]
        if position < 0:
            return split
    return SPLITS[-1]


def require_every_class(labels: Sequence[str], splits: Sequence[str], *, class_names: Sequence[str]) -> None:
    """Raise LeakySplit when a class has no image in one of SPLITS. labels, splits: one an image."""
    counts = Counter(zip(labels, splits, strict=True))
    missing = [f"{name} in {split}" for name in class_names for split in SPLITS if not counts[name, split]]
    if missing:
        totals = Counter(label for label, split in zip(labels, splits, strict=True) if split)
        have = ", ".join(f"{name}: {totals[name]} images" for name in class_names)
        raise LeakageError(
            f"no image of {'; '.join(missing)} ({have}); "
            "add images of the class, give the split a larger share (curate.fractions), or take another curate.seed"
        )


def stratified_group_folds(
    targets: np.ndarray, groups: np.ndarray | Sequence[str], *, num_folds: int, seed: int
) -> np.ndarray:
    """(n,) fold of each row: whole groups, dealt out class by class in an order that the seed decides.

    targets: (n,) class indices. groups: one a row; a group of several classes is dealt with those of its first row.
    """
    unique, first, group_of = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(unique))
    order = order[np.argsort(targets[first[order]], kind="stable")]
    fold_of_group = np.empty(len(unique), dtype=np.int64)
    fold_of_group[order] = np.arange(len(unique)) % num_folds
    return fold_of_group[group_of]
