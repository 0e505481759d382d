"""Archives to folders. What an archive states of itself is not trusted: bytes are counted as they are extracted.

The caller makes the folder whole (tandem.files.atomic_dir); nothing is ever written outside it.
"""

import errno
import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, Self

from tqdm import tqdm

from tandem.errors import CorruptArchiveError, SourceError
from tandem.files import is_lfs_pointer
from tandem.sources.unpacking.litter import litter, litter_in_words
from tandem.sources.unpacking.zip_names import member_name

_CHUNK_BYTES = 1 << 20
_RATIO_COUNTS_FROM_BYTES = 64 << 20
_MAX_HEADER_BYTES = 1 << 20
_EXTENDED_HEADERS = b"xgXLK"  # one letter a type: names and attributes that may be of any length
_END_OF_TAR_BYTES = 1024  # at least; a tar is padded to whole records, of 20 blocks unless its maker said otherwise
_TAR_RECORDS_BYTES = (10_240, *(1 << power for power in range(16, 21)))
_MAX_NAME_BYTES, _MAX_PATH_BYTES = 255, 2048  # of a file system; of a path below our folders
_SHOWN_CHARACTERS = 100  # of a name in a message
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_FORMAT_ERRORS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error)
_READ_ERRORS = (*_FORMAT_ERRORS, OSError, EOFError, ValueError, OverflowError, NotImplementedError)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BY_HAND = "if you trust it, unpack it by hand and name the folder as a local source"


class _Member(NamedTuple):
    """problem: what is wrong with its type or encoding, "" if nothing."""

    name: str
    is_folder: bool
    problem: str
    open: Callable[[], IO[bytes] | None]


class _OpenArchive(NamedTuple):
    """num_bytes: what the archive states that it holds, for progress and messages only."""

    members: Iterator[_Member]
    num_bytes: int | None


@dataclass
class _ExtractionLimits:
    """Counts the bytes that are really extracted, and refuses an archive that holds more than it may."""

    archive: Path
    max_bytes: int
    max_ratio: float
    num_bytes: int = 0

    def count(self, name: str, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        if self.num_bytes > self.max_bytes:
            raise _refusal(self.archive, name, f"brings the archive above {self.max_bytes} bytes")
        ratio = self.num_bytes / max(1, self.archive.stat().st_size)
        if self.num_bytes > _RATIO_COUNTS_FROM_BYTES and ratio > self.max_ratio:
            problem = f"swells to {ratio:.0f} times the archive's size, above {self.max_ratio:g}"
            raise _refusal(self.archive, name, problem)


class _TarHeader(tarfile.TarInfo):
    """tarfile takes a corrupt header for the archive's end and loses the rest in silence; here it is an error."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENDED_HEADERS and header.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # typeshed lacks it
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tarfile_.offset}") from None


def unpack(
    archive: Path, target: Path, *, max_files: int = 500_000, max_bytes: int = 200 * 10**9, max_ratio: float = 200.0
) -> Counter[str]:
    """Unpack a zip or tar (plain, gz, bz2, xz; recognized by content) into an existing empty folder.

    Only regular files are made. Returns what is left out as litter (unpacking.litter): its name -> number of files.
    Raises CorruptArchiveError for an archive that is corrupt or none; SourceError for an empty or encrypted one, for a
    member that is a link, a device, outside the folder or there twice (in NFC, without case), for more than `max_files`
    members, `max_bytes` bytes in all or `max_ratio` times the archive's size (checked above 64 MiB), and when the disk
    is full.
    """
    limits = _ExtractionLimits(archive, max_bytes=max_bytes, max_ratio=max_ratio)
    paths: set[str] = set()
    left_out = Counter[str]()
    with (
        _opened(archive, limits) as (members, num_bytes),
        tqdm(desc=f"unpack {archive.name}", total=num_bytes, unit="B", unit_scale=True, disable=None) as bar,
    ):
        try:
            for number, member in enumerate(members, start=1):
                if number > max_files:
                    raise _refusal(archive, member.name, f"is one more than the {max_files} allowed")
                if found := litter(member.name):
                    left_out[found] += not member.is_folder
                elif path := _target_path(archive, member, paths):
                    _write(_chunks(archive, member, limits), target / path, bar)
        except OSError as error:
            raise _disk_error(archive, target, num_bytes, error) from None
    left_out = +left_out
    if not paths:
        beside = f" ({litter_in_words(left_out)})" if left_out else ""
        raise SourceError(f"archive {archive} holds no files{beside}; get it again, or name another one")
    return left_out


def name_problem(name: str) -> str:
    """Why a file of this name cannot be written below a folder, "" if it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    longest = max(len(part.encode()) for part in name.split("/"))
    problems = {
        f"has a name of {longest} bytes, above {_MAX_NAME_BYTES}": longest > _MAX_NAME_BYTES,
        f"has a path of {len(name.encode())} bytes, above {_MAX_PATH_BYTES}": len(name.encode()) > _MAX_PATH_BYTES,
        "has a NUL byte in its name": "\0" in name,
        "has a backslash in its name": "\\" in name,
        "has an absolute path": name.startswith("/") or re.match("[A-Za-z]:", name),
        "points outside the folder by '..'": ".." in name.split("/"),
    }
    return next((problem for problem, is_found in problems.items() if is_found), "")


def _target_path(archive: Path, member: _Member, paths: set[str]) -> str:
    """The member's path below the target, "" for what is not written. paths: those so far; this one is added."""
    problem = member.problem or name_problem(member.name)
    path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
    if problem or not (path or member.is_folder):
        raise _refusal(archive, member.name, problem or "has no name")
    if member.is_folder:
        return ""
    key = unicodedata.normalize("NFC", path).casefold()
    if key in paths:
        raise _refusal(archive, member.name, "is there twice (upper and lower case count as the same)")
    paths.add(key)
    return path


def _write(chunks: Iterator[bytes], path: Path, bar: "tqdm[None]") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))


def _chunks(archive: Path, member: _Member, limits: _ExtractionLimits) -> Iterator[bytes]:
    # A generator, so that its `except` sees errors of reading only, never those of writing.
    with _reading(archive, f"member {member.name!r}"), member.open() or io.BytesIO() as data:
        while chunk := data.read(_CHUNK_BYTES):
            limits.count(member.name, len(chunk))
            yield chunk


@contextmanager
def _opened(archive: Path, limits: _ExtractionLimits) -> Iterator[_OpenArchive]:
    with _reading(archive, "it"), archive.open("rb") as raw:
        magic = raw.read(64)
    if is_lfs_pointer(magic):
        found = f"{archive} is a pointer of Git LFS, not the archive itself"
        raise SourceError(f"{found}; run `git lfs pull` in the clone that it lies in")
    if magic.startswith(_ZIP_MAGIC):
        with _reading(archive, "its list of members"):
            zipped = zipfile.ZipFile(archive)
        with zipped:
            yield _OpenArchive(_zip_members(zipped), sum(info.file_size for info in zipped.infolist()))
        return
    try:
        tarred = tarfile.open(archive, tarinfo=_TarHeader)  # noqa: SIM115
    except _READ_ERRORS:
        found = f"{archive} is no zip or tar archive (it begins with {magic[:16]!r})"
        raise CorruptArchiveError(f"{found}; get it again, or name another file") from None
    with tarred:
        yield _OpenArchive(_tar_members(archive, tarred, limits), None)


def _zip_members(file: zipfile.ZipFile) -> Iterator[_Member]:
    for info in file.infolist():
        kind, name = stat.S_IFMT(info.external_attr >> 16), member_name(info)
        is_folder = name.endswith("/") or kind == stat.S_IFDIR
        yield _Member(name, is_folder, _zip_problem(info, kind), partial(file.open, info))


def _zip_problem(info: zipfile.ZipInfo, kind: int) -> str:
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device or another special file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in _ZIP_METHODS:
        return f"is compressed by method {info.compress_type}, which cannot be read here"
    return ""


def _tar_members(archive: Path, file: tarfile.TarFile, limits: _ExtractionLimits) -> Iterator[_Member]:
    with _reading(archive, "its list of members"):
        for info in file:
            yield _Member(info.name, info.isdir(), _tar_problem(info), partial(file.extractfile, info))
        _read_tail(file, limits)


def _read_tail(file: tarfile.TarFile, limits: _ExtractionLimits) -> None:
    """Read what follows the block of zeros that ends a tar, by which a compressed stream checks its sum at last.

    It may be zeros up to the end of a record. More of them stand where members were lost: a download that was cut and
    padded reads as a whole but shorter tar.
    """
    end, num_bytes = file.offset, 512
    while chunk := file.fileobj.read(_CHUNK_BYTES) if file.fileobj else b"":
        limits.count("(after the last member)", len(chunk))
        if chunk.strip(b"\0"):
            raise tarfile.ReadError(f"more data follows its end at byte {end}")
        num_bytes += len(chunk)
    length, most = end + num_bytes, num_bytes - _END_OF_TAR_BYTES
    if most > 0 and not any(length % record == 0 and most < record for record in _TAR_RECORDS_BYTES):
        raise tarfile.ReadError(f"{num_bytes} zeros follow its last member at byte {end}, where others may have been")


def _tar_problem(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"is a {'symbolic' if info.issym() else 'hard'} link to {info.linkname!r}"
    return "" if info.isreg() or info.isdir() else "is a device or another special file"


@contextmanager
def _reading(archive: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _READ_ERRORS as error:
        found = f"archive {archive}: {what} cannot be read ({str(error) or type(error).__name__})"
        raise CorruptArchiveError(f"{found}; it is corrupt or incomplete, get it again") from None


def _refusal(archive: Path, name: str, problem: str) -> SourceError:
    shown = name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}..."
    return SourceError(f"archive {archive}: member {shown!r} {problem}; nothing is unpacked: {_BY_HAND}")


def _disk_error(archive: Path, target: Path, num_bytes: int | None, error: OSError) -> SourceError:
    found = f"archive {archive} cannot be unpacked into {target}: {error.strerror}"
    if error.errno not in _DISK_FULL:
        return SourceError(f"{found} ({error.filename}); {_BY_HAND}")
    needed = f"{num_bytes} bytes are needed" if num_bytes else "how much it needs is not known"
    return SourceError(f"{found} ({needed}, {shutil.disk_usage(target).free} are free); make room there")
