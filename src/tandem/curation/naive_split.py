"""What a random split, which assigns each file on its own, would have leaked and claimed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from tandem.curation.exclusion import CONFLICT, DROPPED
from tandem.curation.probe import probe
from tandem.tables.index import Index
from tandem.tables.samples import SPLITS, Samples

_MAX_IMAGES = 25_000  # that a probe is fitted to, and that it is scored on: more change neither accuracy by much
AssignSplit = Callable[[str], str]  # tables.splits.assign_split with its fractions and seed


def leaked_pairs(index: Index, duplicate_set_of: np.ndarray, assign: AssignSplit) -> dict[str, object]:
    """Pairs of near duplicates that would lie in two splits, and test files that would have one in train.

    duplicate_set_of: (N,) a number for each set of near duplicates.
    """
    files: dict[int, set[str]] = defaultdict(set)
    for found_in, number in zip(index.found_in, duplicate_set_of.tolist(), strict=True):
        files[number].update(found_in)
    by_set = [Counter(assign(name) for name in names) for names in files.values()]
    pairs = sum(counts[one] * counts[other] for counts in by_set for one, other in combinations(SPLITS, 2))
    test_files = sum(counts["test"] for counts in by_set if counts["train"])
    return {"pairs_leaked_by_random_split": pairs, "test_files_leaked_by_random_split": test_files}


def accuracy_by_split(
    index: Index,
    samples: Samples,
    features: np.ndarray,
    assign: AssignSplit,
    *,
    unbound_splits: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """Top-1 accuracy on test of one linear probe, trained on train: on the samples' split, and on a random one.

    features: (N, D) in the order of index and samples. unbound_splits: (N,) of each image where frames of a video and
    bursts are not kept together; where that is another split than the samples', it is scored as well. The random split
    has all files, near duplicates too, but for those in conflicts and those that were dropped: nobody knows their
    class. Of more than 25,000 a side, so many.
    """
    group_aware = [(row, split) for row, split in enumerate(samples.splits.tolist()) if split]
    random = [
        (row, assign(name))
        for row, (files, reason) in enumerate(zip(index.found_in, samples.exclusion_reasons.tolist(), strict=True))
        if not reason.startswith((CONFLICT, DROPPED))
        for name in files
    ]
    splits = {"group_aware_split": group_aware, "random_split": random}
    if unbound_splits is not None and (unbound_splits != samples.splits).any():
        splits["split_without_bursts"] = [(row, split) for row, split in enumerate(unbound_splits.tolist()) if split]
    return {
        name: _accuracy(features, samples.targets, rows, num_classes=len(samples.class_names))
        for name, rows in splits.items()
    }


def _accuracy(
    features: np.ndarray, targets: np.ndarray, assigned: Sequence[tuple[int, str]], *, num_classes: int
) -> dict[str, float]:
    """assigned: (row, split) of each file."""
    train, test = (
        np.array([row for row, split in assigned if split == wanted], dtype=np.int64) for wanted in ("train", "test")
    )
    train, test = _at_most(train), _at_most(test)
    if not len(train) or not len(test):
        return {"top1_accuracy": float("nan"), "test_images": len(test)}
    probs = probe(features[train], targets[train], features[test], num_classes=num_classes)
    return {"top1_accuracy": float((probs.argmax(axis=1) == targets[test]).mean()), "test_images": len(test)}


def _at_most(rows: np.ndarray) -> np.ndarray:
    """_MAX_IMAGES of them from all over, or all; they stand in the order of ids, which are hashes."""
    return rows[np.linspace(0, len(rows) - 1, _MAX_IMAGES).astype(np.int64)] if len(rows) > _MAX_IMAGES else rows
