"""The index of merged images: one record an image, checked when built and when read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandem.errors import DataError
from tandem.files import read_csv, write_csv


class Origin(NamedTuple):
    """A file, or one box of it, in which an image was found. label: as the source wrote it."""

    source: str
    path: str
    label: str


@dataclass(frozen=True)
class ImageRecord:
    """One image that is used.

    id: hash of its pixels, 32 hex digits. label: its class. file: name below the images folder. width, height: px,
    upright. provenance_keys: what images share that may belong together ("stem:...", "video:...", "image:...").
    origins: every place where these pixels were found; the first one gives the image its source.
    """

    id: str
    label: str
    file: str
    width: int
    height: int
    provenance_keys: tuple[str, ...]
    origins: tuple[Origin, ...]

    @property
    def source(self) -> str:
        """The source in which the image was found first."""
        return self.origins[0].source


@dataclass(frozen=True)
class Excluded:
    """One image or box that is not used. reason: one word, for the counts; detail: for people."""

    source: str
    path: str
    label: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Index:
    """Records sorted by id, which are unique."""

    records: tuple[ImageRecord, ...]

    def __post_init__(self) -> None:
        for before, after in pairwise(self.ids):
            if before >= after:
                raise DataError(
                    f"an index needs unique ids, sorted; {after} follows {before}; run the merge stage again"
                )
        for record in self.records:
            if not record.label or not record.origins:
                raise DataError(f"record {record.id} needs a class and at least one origin; run the merge stage again")

    @property
    def ids(self) -> list[str]:
        """The ids in order."""
        return [record.id for record in self.records]

    def paths(self, images_dir: Path) -> list[Path]:
        """The file of each image, in order."""
        return [images_dir / record.file for record in self.records]

    @property
    def min_sides(self) -> np.ndarray:
        """(N,) length in px of the shorter side of each image."""
        return np.array([min(record.width, record.height) for record in self.records], dtype=np.int64)


def save_index(index: Index, path: Path) -> None:
    """Write the index as CSV; provenance keys and origins as JSON in their cells."""
    write_csv(path, [_to_row(record) for record in index.records], columns=_names(ImageRecord))


def load_index(path: Path) -> Index:
    """Read what save_index wrote."""
    return Index(tuple(_from_row(row) for row in read_csv(path)))


def save_excluded(excluded: Sequence[Excluded], path: Path) -> None:
    """Write what is not used as CSV."""
    write_csv(path, [asdict(item) for item in excluded], columns=_names(Excluded))


def _names(table: Any) -> list[str]:
    return [field.name for field in fields(table)]


def _to_row(record: ImageRecord) -> dict[str, object]:
    packed = {name: json.dumps(getattr(record, name), ensure_ascii=False) for name in ("provenance_keys", "origins")}
    return {**asdict(record), **packed}


def _from_row(row: dict[str, str]) -> ImageRecord:
    return ImageRecord(
        id=row["id"],
        label=row["label"],
        file=row["file"],
        width=int(row["width"]),
        height=int(row["height"]),
        provenance_keys=tuple(json.loads(row["provenance_keys"])),
        origins=tuple(Origin(*origin) for origin in json.loads(row["origins"])),
    )
