"""Archives to folders. Nothing that an archive says of itself is believed: bytes are counted as they come.

The caller makes the folder whole (tandem.files.whole_folder); nothing is ever written outside it.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, Self

from tqdm import tqdm

from tandem.errors import CorruptArchiveError, SourceError

_CHUNK_BYTES = 1 << 20
_RATIO_COUNTS_FROM_BYTES = 64 << 20
_MAX_HEADER_BYTES = 1 << 20
_EXTENDED_HEADERS = b"xgXLK"  # one letter a type: names and attributes that may be of any length
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error)
_DAMAGE = (*_BROKEN, OSError, EOFError, ValueError, OverflowError, NotImplementedError)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BY_HAND = "if you trust it, unpack it by hand and name the folder as a local source"


class _Member(NamedTuple):
    """flaw: what is wrong with the member's kind, "" if nothing."""

    name: str
    is_folder: bool
    flaw: str
    open: Callable[[], IO[bytes] | None]


class _Opened(NamedTuple):
    """num_bytes: what the archive says it holds, for progress and messages only."""

    members: Iterator[_Member]
    num_bytes: int | None


@dataclass
class _ExtractionLimits:
    """Counts the bytes that really come out, and stops an archive that holds more than it may."""

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
            flaw = f"swells to {ratio:.0f} times the archive's size, above {self.max_ratio:g}"
            raise _refusal(self.archive, name, flaw)


class _TarHeader(tarfile.TarInfo):
    """tarfile takes a damaged header for the archive's end and loses the rest in silence; here it is an error."""

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
) -> None:
    """Unpack a zip or tar (plain, gz, bz2, xz; told by content) into an existing empty folder.

    Only regular files are made; macOS and Windows litter is left out. Raises SourceError for an archive
    that is none, damaged, empty or encrypted; for a member that is a link, a device, outside the folder or
    there twice (in NFC, without case); for more than `max_files` members, `max_bytes` bytes in all or
    `max_ratio` times the archive's size (looked at above 64 MiB); and when the disk is full.
    """
    meter = _ExtractionLimits(archive, max_bytes=max_bytes, max_ratio=max_ratio)
    seen: set[str] = set()
    with (
        _opened(archive, meter) as (members, declared),
        tqdm(desc=f"unpack {archive.name}", total=declared, unit="B", unit_scale=True, disable=None) as bar,
    ):
        try:
            for number, member in enumerate(members, start=1):
                if number > max_files:
                    raise _refusal(archive, member.name, f"is one more than the {max_files} allowed")
                if path := _place(archive, member, seen):
                    _write(_chunks(archive, member, meter), target / path, bar)
        except OSError as error:
            raise _disk_trouble(archive, target, declared, error) from None
    if not seen:
        raise SourceError(f"archive {archive} holds no files; get it again, or name another one")


def is_junk(name: str) -> bool:
    """Whether a POSIX path is something that macOS or Windows leaves behind, never data."""
    *folders, last = name.split("/")
    return "__MACOSX" in (*folders, last) or last.startswith("._") or last in (".DS_Store", "Thumbs.db")


def name_problem(name: str) -> str:
    """What makes a member's or file's name unfit to be written below a folder, "" if nothing does."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    flaws = {
        "has a NUL byte in its name": "\0" in name,
        "has a backslash in its name": "\\" in name,
        "has an absolute path": name.startswith("/") or re.match("[A-Za-z]:", name),
        "points outside the folder by '..'": ".." in name.split("/"),
    }
    return next((flaw for flaw, found in flaws.items() if found), "")


def _place(archive: Path, member: _Member, seen: set[str]) -> str:
    """The member's path below the target, noted in `seen`; "" for what is not written."""
    if is_junk(member.name):
        return ""
    flaw = member.flaw or name_problem(member.name)
    path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
    if flaw or not (path or member.is_folder):
        raise _refusal(archive, member.name, flaw or "has no name")
    if member.is_folder:
        return ""
    key = unicodedata.normalize("NFC", path).casefold()
    if key in seen:
        raise _refusal(archive, member.name, "is there twice (upper and lower case count as the same)")
    seen.add(key)
    return path


def _write(chunks: Iterator[bytes], path: Path, bar: "tqdm[None]") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))


def _chunks(archive: Path, member: _Member, meter: _ExtractionLimits) -> Iterator[bytes]:
    # A generator, so that its `except` sees errors of reading only, never those of writing.
    with _reading(archive, f"member {member.name!r}"), member.open() or io.BytesIO() as data:
        while chunk := data.read(_CHUNK_BYTES):
            meter.count(member.name, len(chunk))
            yield chunk


@contextmanager
def _opened(archive: Path, meter: _ExtractionLimits) -> Iterator[_Opened]:
    with _reading(archive, "it"), archive.open("rb") as raw:
        start = raw.read(16)
    if start.startswith(_ZIP_MAGIC):
        with _reading(archive, "its list of members"):
            zipped = zipfile.ZipFile(archive)
        with zipped:
            yield _Opened(_zip_members(zipped), sum(info.file_size for info in zipped.infolist()))
        return
    try:
        tarred = tarfile.open(archive, tarinfo=_TarHeader)  # noqa: SIM115
    except _DAMAGE:
        found = f"{archive} is no zip or tar archive (it begins with {start!r})"
        raise CorruptArchiveError(f"{found}; get it again, or name another file") from None
    with tarred:
        yield _Opened(_tar_members(archive, tarred, meter), None)


def _zip_members(file: zipfile.ZipFile) -> Iterator[_Member]:
    for info in file.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        is_folder = info.is_dir() or kind == stat.S_IFDIR
        # `filename` is cut at the first NUL; only `orig_filename` shows it.
        yield _Member(info.orig_filename, is_folder, _zip_problem(info, kind), partial(file.open, info))


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


def _tar_members(archive: Path, file: tarfile.TarFile, meter: _ExtractionLimits) -> Iterator[_Member]:
    with _reading(archive, "its list of members"):
        for info in file:
            yield _Member(info.name, info.isdir(), _tar_problem(info), partial(file.extractfile, info))
        # Only at its end does a compressed stream check its sum, and tarfile stops before.
        while chunk := file.fileobj.read(_CHUNK_BYTES) if file.fileobj else b"":
            meter.count("(after the last member)", len(chunk))


def _tar_problem(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"is a {'symbolic' if info.issym() else 'hard'} link to {info.linkname!r}"
    return "" if info.isreg() or info.isdir() else "is a device or another special file"


@contextmanager
def _reading(archive: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        found = f"archive {archive}: {what} cannot be read ({str(error) or type(error).__name__})"
        raise CorruptArchiveError(f"{found}; it is damaged or incomplete, get it again") from None


def _refusal(archive: Path, name: str, flaw: str) -> SourceError:
    return SourceError(f"archive {archive}: member {name!r} {flaw}; nothing is unpacked: {_BY_HAND}")


def _disk_trouble(archive: Path, target: Path, declared: int | None, error: OSError) -> SourceError:
    found = f"archive {archive} cannot be unpacked into {target}: {error.strerror}"
    if error.errno not in _FULL:
        return SourceError(f"{found} ({error.filename}); {_BY_HAND}")
    needed = f"{declared} bytes are needed" if declared else "how much it needs is not known"
    return SourceError(f"{found} ({needed}, {shutil.disk_usage(target).free} are free); make room there")
