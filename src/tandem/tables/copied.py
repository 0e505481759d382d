"""Stored images read from a copy of the shards at an address that fsspec knows, such as a bucket: a range for each.

What is read is compared with the digest that ingest wrote, so a copy that is not of these shards is no other result.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tandem.errors import DataError, ParamsError
from tandem.tables.stored import StoredImages
from tandem.types import Encoded

_INSTEAD = "set runtime.shards to null"


class CopiedImage(NamedTuple):
    """An encoded image that is a part of a file at an address. sha256: of its bytes."""

    url: str
    offset: int
    num_bytes: int
    sha256: str

    def read_bytes(self) -> bytes:
        """Its bytes. Raises DataError where they cannot be read, or are others."""
        try:
            data: bytes = _file_system(self.url.partition("://")[0]).cat_file(
                self.url, start=self.offset, end=self.offset + self.num_bytes
            )
        except OSError as error:
            what = " ".join(str(error).split())[:200]
            raise DataError(f"{self} cannot be read ({what}); copy the shards there again, or {_INSTEAD}") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise DataError(f"{self} is not what ingest stored; copy the shards there again, or {_INSTEAD}")
        return data

    def __str__(self) -> str:
        return f"{self.url} at byte {self.offset}"


def images_at(stored: StoredImages, url: str | None, *, folder: Path) -> Sequence[Encoded]:
    """What each image is read from, in order: below the folder of all sources' images, or below the address of a copy.

    Raises ParamsError for an address whose package is not installed.
    """
    if url is None:
        return stored.packed(folder)
    try:
        _file_system(url.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise ParamsError(
            f"runtime.shards is {url!r}, which cannot be read ({error}); for s3:// install tandem[s3], or {_INSTEAD}"
        ) from None
    places = zip(stored.shards, stored.offsets.tolist(), stored.num_bytes.tolist(), stored.sha256, strict=True)
    return [CopiedImage(f"{url.rstrip('/')}/{shard}", *place) for shard, *place in places]


@cache
def _file_system(protocol: str) -> Any:
    """One for all threads, whose connections stay."""
    import fsspec

    return fsspec.filesystem(protocol)
