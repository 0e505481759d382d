"""Many files in few large ones: plain tars, as WebDataset, Ray Data and any tar know them.

A folder of shards costs DVC, an object store and a cluster what a few files cost, however many it holds. Where an image
begins is kept beside the shards (tandem.tables.stored), so that any of them is read alone.
"""

import hashlib
import shutil
import tarfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, NamedTuple

from tandem.errors import DamagedFileError
from tandem.files import digest_line, list_files

SHARD_BYTES = 2**28  # a shard ends with the file that makes it this large
_BLOCK_BYTES = 2**20


class Place(NamedTuple):
    """Where a packed file lies. shard: name of the tar. offset, num_bytes: of the file's own bytes in it."""

    shard: str
    offset: int
    num_bytes: int


class ShardWriter:
    """Writes files one after another into the shards of a folder. The same files give the same bytes.

    stem: of the shards' names.
    """

    def __init__(self, folder: Path, *, stem: str, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._stem, self._shard_bytes = folder, stem, shard_bytes
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
        """Append one file."""
        return self.add_from(name, BytesIO(data), len(data))

    def add_from(self, name: str, source: BinaryIO, num_bytes: int) -> Place:
        """Append one file of so many bytes, in constant memory."""
        file = self._open_shard()
        member = tarfile.TarInfo(name)
        member.size = num_bytes
        file.write(member.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape"))
        place = Place(self._name, file.tell(), num_bytes)
        shutil.copyfileobj(source, file)
        file.write(bytes(-num_bytes % tarfile.BLOCKSIZE))
        return place

    def _open_shard(self) -> BinaryIO:
        if self._file and self._file.tell() >= self._shard_bytes:
            self._close()
        if self._file is None:
            self._name = f"{self._stem}-{self._num_shards:05d}.tar"
            self._file = (self._folder / self._name).open("wb")
            self._num_shards += 1
        return self._file

    def _close(self) -> None:
        if self._file:
            with self._file as file:
                file.write(bytes(2 * tarfile.BLOCKSIZE))  # by which a tar ends
            self._file = None


def pack(folder: Path, shards: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
    """Write all files below `folder`, sorted by POSIX path, into shards in the folder of that name."""
    with ShardWriter(shards, stem="files", shard_bytes=shard_bytes) as writer:
        for path in list_files(folder):
            with path.open("rb") as file:
                writer.add_from(path.relative_to(folder).as_posix(), file, path.stat().st_size)


def unpack_shards(shards: Path, folder: Path) -> None:
    """Write all files of the shards below `folder`, which stays empty for none. Raises DamagedFileError."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in list_files(shards):
        with _opened(path) as tar:
            _unpack(tar, tar, folder)


def unpack_some(shards: Path, names: Collection[str], folder: Path) -> None:
    """Write those files of the shards that have these names below `folder`. Raises DamagedFileError."""
    for path in list_files(shards):
        with _opened(path) as tar:
            _unpack(tar, (member for member in tar if member.name in names), folder)


def shards_sha256(shards: Path, *, without: Collection[str] = ()) -> str:
    """What files.dir_sha256 gives of the files that were packed. without: file names to skip.

    Raises DamagedFileError, for a file that is no shard too.
    """
    digest = hashlib.sha256()
    for path in list_files(shards):
        with _opened(path) as tar:
            for member in (member for member in tar if member.name.rpartition("/")[2] not in without):
                content = hashlib.sha256()
                if file := tar.extractfile(member):
                    while block := file.read(_BLOCK_BYTES):
                        content.update(block)
                digest.update(digest_line(content.hexdigest(), member.name))
    return digest.hexdigest()


def _unpack(tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo], folder: Path) -> None:
    """Write members below a folder. Not by extractall, whose safe ways (`filter`) Python 3.11 lacks before 3.11.4."""
    made = set[Path]()
    for member in members:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not member.isreg():
            raise ValueError(f"it holds {member.name!r}, which no stage has packed")
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        content = tar.extractfile(member)
        assert content is not None, "of a regular file there is one"
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file, _BLOCK_BYTES)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DamagedFileError(path, f"cannot be read ({error})") from None
