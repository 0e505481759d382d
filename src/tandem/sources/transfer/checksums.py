"""Whether an archive is what the service says it is."""

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
    base64_of = {name: base64.b64encode(digest.digest()).decode() for name, digest in (("m", md5), ("c", crc32c))}
    return Digests(path.stat().st_size, sha256.hexdigest(), base64_of["m"], base64_of["c"])


def mismatch(found: Digests, *, num_bytes: int | None, hashes: str) -> str:
    """What differs from what was served with the file, "" if nothing does.

    num_bytes: the length stated, None if none was. hashes: the x-goog-hash header, such as "crc32c=AAAAAA==, md5=...":
    https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash
    """
    if num_bytes is not None and found.num_bytes != num_bytes:
        return f"it has {found.num_bytes} bytes, {num_bytes} were promised"
    for name, expected in re.findall(r"(md5|crc32c)=([A-Za-z0-9+/]+=*)", hashes):
        if getattr(found, name) != expected:
            return f"its {name} is {getattr(found, name)}, {expected} was promised"
    return ""
