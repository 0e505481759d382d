"""Digests of an archive, held against those that its service states."""

import base64
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import google_crc32c

_CHUNK_BYTES = 1 << 20


class Digests(NamedTuple):
    """sha256: hex. md5, crc32c: base64, as Google's storage states them."""

    num_bytes: int
    sha256: str
    md5: str
    crc32c: str


def digests(path: Path) -> Digests:
    """All digests of a file in one pass, in constant memory."""
    sha256, md5, crc32c = hashlib.sha256(), hashlib.md5(usedforsecurity=False), google_crc32c.Checksum()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            for digest in (sha256, md5, crc32c):
                digest.update(chunk)
    return Digests(path.stat().st_size, sha256.hexdigest(), _base64(md5.digest()), _base64(crc32c.digest()))


def mismatch(found: Digests, *, num_bytes: int | None, hashes: str) -> str:
    """In what the file differs from what its service states of it; "" if in nothing.

    num_bytes: the stated length, None if there is none. hashes: the x-goog-hash header, "crc32c=AAAAAA==, md5=...":
    https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash
    """
    if num_bytes is not None and found.num_bytes != num_bytes:
        return f"it has {found.num_bytes} bytes, {num_bytes} were promised"
    for name, expected in re.findall(r"(md5|crc32c)=([A-Za-z0-9+/]+=*)", hashes):
        if getattr(found, name) != expected:
            return f"its {name} is {getattr(found, name)}, {expected} was promised"
    return ""


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
