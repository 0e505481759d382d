"""What the usual split, each file drawn on its own, would have leaked and claimed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from tandem.curation.probe import probe
from tandem.tables.index import ImageRecord
from tandem.tables.samples import SPLITS, Samples

AssignSplit = Callable[[str], str]  # splits.split_of with its fractions and seed
_LEFT_OUT = ("conflict", "dropped")  # first words of notes: nobody knows the class of these


def leaked_pairs(records: Sequence[ImageRecord], duplicate_of: np.ndarray, draw: AssignSplit) -> dict[str, object]:
    """Pairs of copies that would lie apart, and test files that would have a copy in train."""
    files: dict[int, set[str]] = defaultdict(set)
    for record, copies in zip(records, duplicate_of.tolist(), strict=True):
        files[copies].update(_files(record))
    drawn = [Counter(draw(name) for name in names) for names in files.values()]
    pairs = sum(counts[one] * counts[other] for counts in drawn for one, other in combinations(SPLITS, 2))
    tested = sum(counts["test"] for counts in drawn if counts["train"])
    return {"pairs_leaked_by_random_split": pairs, "test_files_leaked_by_random_split": tested}


def accuracy_by_split(
    records: Sequence[ImageRecord], samples: Samples, x: np.ndarray, draw: AssignSplit
) -> dict[str, dict[str, float]]:
    """Top-1 accuracy on test of one linear probe, trained on train: on the samples' split, and on one by file.

    x: (N, D) features in the order of records and samples. The split by file has all files, copies too, but for
    those in conflicts and those that were dropped.
    """
    by_group = [(row, split) for row, split in enumerate(samples.splits.tolist()) if split]
    by_file = [
        (row, draw(name))
        for row, (record, reason) in enumerate(zip(records, samples.exclusion_reasons.tolist(), strict=True))
        if not reason.startswith(_LEFT_OUT)
        for name in _files(record)
    ]
    return {
        name: _accuracy(x, samples.targets, rows, num_classes=len(samples.class_names))
        for name, rows in (("group_aware_split", by_group), ("random_split", by_file))
    }


def _accuracy(
    x: np.ndarray, targets: np.ndarray, drawn: Sequence[tuple[int, str]], *, num_classes: int
) -> dict[str, float]:
    train, test = (
        np.array([row for row, split in drawn if split == wanted], dtype=np.int64) for wanted in ("train", "test")
    )
    if not len(train) or not len(test):
        return {"top1_accuracy": float("nan"), "test_images": len(test)}
    predicted = probe(x[train], targets[train], x[test], num_classes=num_classes).argmax(axis=1)
    return {"top1_accuracy": float((predicted == targets[test]).mean()), "test_images": len(test)}


def _files(record: ImageRecord) -> set[str]:
    return {f"{origin.source}/{origin.path}" for origin in record.origins}
