"""What curation decides of each image: its group, its split, or why it is left out."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from tandem.errors import DataError
from tandem.files import read_csv, read_json, write_csv, write_json

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """One image. split: one of SPLITS, or "" when it is left out; exclusion_reason then says why."""

    id: str
    label: str
    source: str
    group: str
    split: str
    exclusion_reason: str = ""


@dataclass(frozen=True)
class Samples:
    """All images in the order of the index. No group lies in two splits."""

    class_names: tuple[str, ...]
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        split_of: dict[str, str] = {}
        for sample in self.samples:
            if sample.label not in self.class_names:
                raise DataError(
                    f"image {sample.id} has class {sample.label!r}, not one of {', '.join(self.class_names)}"
                )
            if sample.split not in ("", *SPLITS):
                raise DataError(f"image {sample.id} has split {sample.split!r}, not one of {', '.join(SPLITS)}")
            if sample.split and split_of.setdefault(sample.group, sample.split) != sample.split:
                raise DataError(f"group {sample.group} is in two splits: {split_of[sample.group]} and {sample.split}")

    def rows(self, split: str) -> np.ndarray:
        """(n,) int64 row numbers of a split, ascending; they are also the rows of the features."""
        return np.array([row for row, sample in enumerate(self.samples) if sample.split == split], dtype=np.int64)

    def rows_by_split(self) -> dict[str, np.ndarray]:
        """Split -> rows(split), for all of SPLITS."""
        return {split: self.rows(split) for split in SPLITS}

    def targets(self, split: str) -> np.ndarray:
        """(n,) int64 class indices, in the order of rows(split)."""
        indices = {name: index for index, name in enumerate(self.class_names)}
        return np.array([indices[self.samples[row].label] for row in self.rows(split)], dtype=np.int64)

    def groups(self, split: str) -> list[str]:
        """The group of each image of a split, in the order of rows(split)."""
        return [self.samples[row].group for row in self.rows(split).tolist()]

    def without(self, rows: np.ndarray) -> "Samples":
        """The same images in the same order, these rows in no split."""
        out = set(rows.tolist())
        return Samples(
            self.class_names,
            tuple(replace(sample, split="") if row in out else sample for row, sample in enumerate(self.samples)),
        )

    @property
    def ids(self) -> list[str]:
        """The ids of all images in order."""
        return [sample.id for sample in self.samples]


def save_samples(samples: Samples, folder: Path) -> None:
    """Write samples.csv and classes.json (the class names in order) into a folder."""
    columns = [field.name for field in fields(Sample)]
    write_csv(folder / "samples.csv", [asdict(sample) for sample in samples.samples], columns=columns)
    write_json(folder / "classes.json", list(samples.class_names))


def load_samples(folder: Path) -> Samples:
    """Read what save_samples wrote."""
    class_names = tuple(read_json(folder / "classes.json"))
    return Samples(class_names, tuple(Sample(**row) for row in read_csv(folder / "samples.csv")))
