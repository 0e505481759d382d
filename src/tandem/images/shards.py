"""Encoded images in few large files: plain tars of "<id>.<extension>", as WebDataset and Ray Data know them.

Where in a shard an image begins is kept beside it (tandem.tables.stored), so that any of them is read alone.
"""

import tarfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

SHARD_BYTES = 2**28  # a shard ends with the image that makes it this large


class Place(NamedTuple):
    """Where an image lies. shard: name of the file. offset, num_bytes: of the image's own bytes in it."""

    shard: str
    offset: int
    num_bytes: int


class ShardWriter:
    """Writes images one after another into the shards of a folder. The same images give the same bytes."""

    def __init__(self, folder: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._shard_bytes = folder, shard_bytes
        self._file: BinaryIO | None = None
        self._name = ""
        self._num_shards = 0

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def add(self, name: str, data: bytes) -> Place:
        """Append one image. name: of at most 100 bytes."""
        file = self._open_shard()
        member = tarfile.TarInfo(name)
        member.size = len(data)
        file.write(member.tobuf(tarfile.USTAR_FORMAT))
        place = Place(self._name, file.tell(), len(data))
        file.write(data)
        file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        return place

    def _open_shard(self) -> BinaryIO:
        if self._file and self._file.tell() >= self._shard_bytes:
            self._close()
        if self._file is None:
            self._name = f"images-{self._num_shards:05d}.tar"
            self._file = (self._folder / self._name).open("wb")
            self._num_shards += 1
        return self._file

    def _close(self) -> None:
        if self._file:
            with self._file as file:
                file.write(bytes(2 * tarfile.BLOCKSIZE))  # by which a tar ends
            self._file = None
