"""The index of merged images: columns with one entry an image, checked when built and when read."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.errors import DataError
from tandem.files import read_csv, reading, write_csv


class Origin(NamedTuple):
    """A file, or one box of it, in which an image was found. label: as the source wrote it."""

    source: str
    path: str
    label: str


class ImageRecord(NamedTuple):
    """One image that is used: what Index.of takes, and a line of the CSV.

    id: hash of its pixels, 32 hex digits. label: its class. file: its name where it is a file of its own. width,
    height: px, upright. provenance_keys: what images share that may belong together ("stem:...", "video:...",
    "image:..."); "frame:..." of a frame of which nothing says the video; "captured:..." as of tandem.tables.captures.
    origins: every place where these pixels were found; the first one gives the image its source.
    """

    id: str
    label: str
    file: str
    width: int
    height: int
    provenance_keys: tuple[str, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Excluded:
    """One image or box that is not used. reason: one word, for the counts; detail: for people."""

    source: str
    path: str
    label: str
    reason: str
    detail: str


@dataclass(frozen=True, eq=False)
class Index:
    """Columns, one entry an image, sorted by id. What they hold: ImageRecord.

    ids: N of them, unique. labels: (N,) str. files, provenance_keys, origins: N each. widths, heights: (N,) int64, px.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    files: tuple[str, ...]
    widths: np.ndarray
    heights: np.ndarray
    provenance_keys: tuple[tuple[str, ...], ...]
    origins: tuple[tuple[Origin, ...], ...]

    @classmethod
    def of(cls, records: Iterable[ImageRecord]) -> "Index":
        """From one entry an image. Raises DataError for unsorted ids, and for images without a class or an origin."""
        rows = tuple(records)
        return cls(
            ids=tuple(row.id for row in rows),
            labels=np.array([row.label for row in rows], dtype=np.str_),
            files=tuple(row.file for row in rows),
            widths=np.array([row.width for row in rows], dtype=np.int64),
            heights=np.array([row.height for row in rows], dtype=np.int64),
            provenance_keys=tuple(row.provenance_keys for row in rows),
            origins=tuple(row.origins for row in rows),
        )

    def __post_init__(self) -> None:
        for before, after in pairwise(self.ids):
            if before >= after:
                raise DataError(f"an index needs unique ids, sorted; {after} follows {before}")
        columns = (getattr(self, field.name) for field in fields(self))
        if {len(column) for column in columns} != {len(self.ids)}:
            raise DataError("the columns of an index are not equally long")
        for id_, label, file, origins in zip(self.ids, self.labels, self.files, self.origins, strict=True):
            if not label or not origins:
                raise DataError(f"record {id_} needs a class and at least one origin")
            if not id_ or not file:
                raise DataError(f"record {id_!r} needs an id and a file, not {file!r}")
        if (self.min_sides < 1).any():
            id_ = self.ids[int(self.min_sides.argmin())]
            raise DataError(f"record {id_} has no width or height")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ImageRecord]:
        columns = (self.ids, self.labels.tolist(), self.files, self.widths.tolist(), self.heights.tolist())
        return map(ImageRecord, *columns, self.provenance_keys, self.origins)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Index) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def sources(self) -> np.ndarray:
        """(N,) str: the source in which each image was found first."""
        return np.array([origins[0].source for origins in self.origins], dtype=np.str_)

    @cached_property
    def found_in(self) -> tuple[tuple[str, ...], ...]:
        """The files in which each image was found, "<source>/<path>" each, once where it has several boxes of one."""
        return tuple(
            tuple(dict.fromkeys(f"{origin.source}/{origin.path}" for origin in origins)) for origins in self.origins
        )

    @property
    def min_sides(self) -> np.ndarray:
        """(N,) length in px of the shorter side of each image."""
        return np.minimum(self.widths, self.heights)

    def with_labels(self, labels: np.ndarray) -> "Index":
        """The same images under other classes (N,)."""
        return replace(self, labels=labels)


def save_index(index: Index, path: Path) -> None:
    """Write the index as CSV; provenance keys and origins as JSON in their cells."""
    write_csv(path, [_row(record) for record in index], columns=ImageRecord._fields)


def load_index(path: Path) -> Index:
    """Read what save_index wrote. Raises DamagedFileError."""
    rows = read_csv(path, columns=ImageRecord._fields)
    with reading(path):
        return Index.of(map(_record, rows))


def save_excluded(excluded: Sequence[Excluded], path: Path) -> None:
    """Write what is not used as CSV."""
    write_csv(path, [asdict(item) for item in excluded], columns=[field.name for field in fields(Excluded)])


def load_excluded(path: Path) -> list[Excluded]:
    """Read what save_excluded wrote. Raises DamagedFileError."""
    return [Excluded(**row) for row in read_csv(path, columns=[field.name for field in fields(Excluded)])]


def _row(record: ImageRecord) -> dict[str, object]:
    packed = {name: json.dumps(getattr(record, name), ensure_ascii=False) for name in ("provenance_keys", "origins")}
    return {**record._asdict(), **packed}


def _record(row: dict[str, str]) -> ImageRecord:
    return ImageRecord(
        id=row["id"],
        label=row["label"],
        file=row["file"],
        width=int(row["width"]),
        height=int(row["height"]),
        provenance_keys=tuple(json.loads(row["provenance_keys"])),
        origins=tuple(Origin(*origin) for origin in json.loads(row["origins"])),
    )
