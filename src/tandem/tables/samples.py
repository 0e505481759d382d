"""What curation decides of each image: its class, its group, its split, or why it is excluded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.errors import DataError
from tandem.files import read_csv, read_json, reading, write_csv, write_json
from tandem.tables.checks import require_unique

SPLITS = ("train", "val", "test")


class Sample(NamedTuple):
    """One image. split: one of SPLITS, or "" where it is excluded, for the reason that is given then."""

    id: str
    label: str
    source: str
    group: str
    split: str
    exclusion_reason: str = ""


@dataclass(frozen=True, eq=False)
class Split:
    """One side of a split, in the order of the samples.

    ids: n of them. sources, groups: (n,) str. targets: (n,) int64 class indices. rows: (n,) int64, where they stand in
    the samples, and so in features and logits too.
    """

    ids: tuple[str, ...]
    targets: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, picked: np.ndarray) -> "Split":
        """Some of the images, by a mask (n,) or by positions in the split."""
        return Split(
            tuple(self.ids[position] for position in np.arange(len(self))[picked]),
            self.targets[picked],
            self.sources[picked],
            self.groups[picked],
            self.rows[picked],
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """Columns, one entry an image in the order of the index. No group lies in two splits.

    ids: N of them. sources, groups: (N,) str. targets: (N,) int64 class indices. splits: (N,) str, one of SPLITS or "".
    exclusion_reasons: (N,) str, "" where there is none.
    """

    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    targets: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    exclusion_reasons: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, class_names: Sequence[str], samples: Iterable[Sample]) -> "Samples":
        """From one entry an image. Raises DataError for a class that is not among the names."""
        rows = tuple(samples)
        ids = tuple(row.id for row in rows)
        labels, sources, groups, splits, reasons = (
            np.array([row[number] for row in rows], dtype=np.str_) for number in range(1, len(Sample._fields))
        )
        return cls(tuple(class_names), ids, _targets(labels, ids, class_names), sources, groups, splits, reasons)

    def __post_init__(self) -> None:
        columns = (self.targets, self.sources, self.groups, self.splits, self.exclusion_reasons)
        if {column.shape for column in columns} != {(len(self.ids),)}:
            raise DataError("the columns of samples are not equally long")
        require_unique(self.ids, what="ids of samples")
        require_unique(self.class_names, what="class names of samples")
        for id_, split in zip(self.ids, self.splits, strict=True):
            if split not in ("", *SPLITS):
                raise DataError(f"image {id_} has split {str(split)!r}, not one of {', '.join(SPLITS)}")
        is_used = self.splits != ""
        pairs = np.unique(np.stack([self.groups[is_used], self.splits[is_used]]), axis=1)
        names, counts = np.unique(pairs[0], return_counts=True)
        if (counts > 1).any():
            group = names[counts.argmax()]
            one, other, *_ = (split for split in SPLITS if split in pairs[1][pairs[0] == group])
            raise DataError(f"group {group} is in two splits: {one} and {other}")

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Samples):
            return NotImplemented
        return all(np.array_equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) str: the class name of each image."""
        return np.array(self.class_names, dtype=np.str_)[self.targets]

    @cached_property
    def train(self) -> Split:
        """What models are fitted to."""
        return self.split("train")

    @cached_property
    def val(self) -> Split:
        """What choices are made on."""
        return self.split("val")

    @cached_property
    def test(self) -> Split:
        """What is scored once."""
        return self.split("test")

    def split(self, name: str) -> Split:
        """The images of one of SPLITS."""
        rows = np.flatnonzero(self.splits == name)
        return Split(
            tuple(self.ids[row] for row in rows), self.targets[rows], self.sources[rows], self.groups[rows], rows
        )

    def rows_by_split(self) -> dict[str, np.ndarray]:
        """Split -> the row numbers of its images, ascending."""
        return {name: self.split(name).rows for name in SPLITS}

    def with_splits(self, splits: np.ndarray) -> "Samples":
        """The same images with other splits (N,)."""
        return replace(self, splits=splits)


def save_samples(samples: Samples, folder: Path) -> None:
    """Write samples.csv and classes.json (the class names in order) into a folder."""
    columns = zip(
        samples.ids,
        samples.labels,
        samples.sources,
        samples.groups,
        samples.splits,
        samples.exclusion_reasons,
        strict=True,
    )
    rows = [dict(zip(Sample._fields, row, strict=True)) for row in columns]
    write_csv(folder / "samples.csv", rows, columns=Sample._fields)
    write_json(folder / "classes.json", list(samples.class_names))


def load_samples(folder: Path) -> Samples:
    """Read what save_samples wrote. Raises DamagedFileError."""
    path = folder / "samples.csv"
    class_names, rows = load_class_names(folder / "classes.json"), read_csv(path, columns=Sample._fields)
    with reading(path):
        return Samples.of(class_names, (Sample(**row) for row in rows))


def load_class_names(path: Path) -> list[str]:
    """The class names in order, as JSON. Raises DamagedFileError for what is no list of different names."""
    with reading(path):
        class_names = read_json(path)
        if not isinstance(class_names, list):
            raise ValueError("a list of names is expected")
        require_unique(class_names, what="class names")
        return class_names


def _targets(labels: np.ndarray, ids: Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    indices = {name: index for index, name in enumerate(class_names)}
    for id_, label in zip(ids, labels, strict=True):
        if label not in indices:
            raise DataError(f"image {id_} has class {str(label)!r}, not one of {', '.join(class_names)}")
    return np.array([indices[label] for label in labels], dtype=np.int64)
