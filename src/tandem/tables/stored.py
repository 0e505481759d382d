"""Where each stored image lies in the shards. No labels, so that nothing here changes when a label does."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.errors import DataError
from tandem.files import read_csv, reading, write_csv


class StoredImage(NamedTuple):
    """One stored image, a line of the CSV.

    id: of its pixels before it was stored. shard: POSIX path below the folder of all sources' images. offset,
    num_bytes: of its encoded bytes in that. sha256: of these bytes.
    """

    id: str
    shard: str
    offset: int
    num_bytes: int
    sha256: str


class PackedImage(NamedTuple):
    """An encoded image that is a part of a file."""

    path: Path
    offset: int
    num_bytes: int

    def read_bytes(self) -> bytes:
        """Its bytes; fewer where the file ends early. Raises FileNotFoundError."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            return file.read(self.num_bytes)

    def __str__(self) -> str:
        return f"{self.path} at byte {self.offset}"


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Columns, one entry an image, sorted by id. What they hold: StoredImage.

    ids, shards, sha256: N each. offsets, num_bytes: (N,) int64.
    """

    ids: tuple[str, ...]
    shards: tuple[str, ...]
    offsets: np.ndarray
    num_bytes: np.ndarray
    sha256: tuple[str, ...]

    @classmethod
    def of(cls, images: Iterable[StoredImage]) -> "StoredImages":
        """From one entry an image. Raises DataError for unsorted ids, and for places that cannot be."""
        rows = tuple(images)
        return cls(
            ids=tuple(row.id for row in rows),
            shards=tuple(row.shard for row in rows),
            offsets=np.array([row.offset for row in rows], dtype=np.int64),
            num_bytes=np.array([row.num_bytes for row in rows], dtype=np.int64),
            sha256=tuple(row.sha256 for row in rows),
        )

    def __post_init__(self) -> None:
        if {len(getattr(self, field.name)) for field in fields(self)} != {len(self.ids)}:
            raise DataError("the columns of the stored images are not equally long")
        for before, after in pairwise(self.ids):
            if before >= after:
                raise DataError(f"stored images need unique ids, sorted; {after} follows {before}")
        for id_, shard in zip(self.ids, self.shards, strict=True):
            if not id_ or not shard or shard.startswith("/") or ".." in shard.split("/"):
                raise DataError(f"image {id_!r} needs an id and a shard below the images' folder, not {shard!r}")
        if not all(self.sha256):
            raise DataError("a stored image needs the sha256 of its bytes")
        if len(self.ids) and (self.offsets.min() < 0 or self.num_bytes.min() < 1):
            raise DataError("a stored image begins at a byte of its shard and has at least one")

    def __len__(self) -> int:
        return len(self.ids)

    def packed(self, folder: Path) -> list[PackedImage]:
        """What each image is read from, in order. folder: of all sources' images."""
        places = zip(self.shards, self.offsets.tolist(), self.num_bytes.tolist(), strict=True)
        return [PackedImage(folder / shard, offset, num_bytes) for shard, offset, num_bytes in places]


def save_stored(images: StoredImages, path: Path) -> None:
    """Write the table as CSV."""
    places = images.shards, images.offsets.tolist(), images.num_bytes.tolist()
    rows = map(StoredImage, images.ids, *places, images.sha256)
    write_csv(path, [row._asdict() for row in rows], columns=StoredImage._fields)


def load_stored(path: Path) -> StoredImages:
    """Read what save_stored wrote. Raises DamagedFileError."""
    rows = read_csv(path, columns=StoredImage._fields)
    with reading(path):
        return StoredImages.of(
            StoredImage(row["id"], row["shard"], int(row["offset"]), int(row["num_bytes"]), row["sha256"])
            for row in rows
        )
