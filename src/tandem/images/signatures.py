"""Which files are images: by their names, or by how their bytes begin, whatever their names are."""

import re
import stat
from pathlib import Path
from typing import IO

from tandem.errors import CorruptImageError

IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".jpf", ".tga",
))  # fmt: skip
_HEAD_BYTES = 512
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
_LARGE_BYTES = 2**28  # hardly an image: few have more than a tenth of that
_MAX_BYTES = 2**31  # of an image: 200 million pixels of four channels of 16 bits, as they are, have 1.6 GB

# What images.decode reads. TGA has no signature: its name alone shows it.
_READ = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",  # and the size of the header that follows
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIF": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "JPEG2000": rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51",
    "PPM": rb"P[1-6][ \t\r\n]+(?:#[^\n]*\n\s*)*\d+\s",
}
_NOT_READ = {
    "PSD": rb"8BPS\0[\x01\x02]",
    "icon": rb"\0\0[\x01\x02]\0[\x01-\xff]\0.{12}[\x16-\xff]\0\0\0",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "DDS": rb"DDS \x7c\0\0\0",
    "Radiance HDR": rb"#\?R(?:ADIANCE|GBE)\n",
    "DICOM": rb".{128}DICM",
    "FITS": rb"SIMPLE  = ",
    "SVG": rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b",
    "raw of a camera": rb"II\*\0.{4}CR\x02|IIRO|IIU\0|FUJIFILMCCD-RAW|.{4}ftypcrx ",
}
_RAW_SUFFIXES = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw")  # mostly TIFFs inside


def _compiled(patterns: dict[str, bytes]) -> dict[str, re.Pattern[bytes]]:
    return {name: re.compile(pattern, re.DOTALL) for name, pattern in patterns.items()}


_READ_PATTERNS, _NOT_READ_PATTERNS = _compiled(_READ), _compiled(_NOT_READ)


def is_image_file(path: Path) -> bool:
    """Whether a file is an image that can be read, or means to be one: by its suffix in any case, else by its bytes.

    Raws of cameras are none, which are TIFFs by their bytes.
    """
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES or (suffix not in _RAW_SUFFIXES and bool(begins_as(head(path))))


def begins_as(data: bytes) -> str:
    """The format, of those that can be read, that bytes begin as; "" for none."""
    return _first(_READ_PATTERNS, data)


def unread_format(path: Path) -> str:
    """The format of an image that cannot be read, by its suffix or bytes; "" for what is no such image."""
    return "raw of a camera" if path.suffix.lower() in _RAW_SUFFIXES else _first(_NOT_READ_PATTERNS, head(path))


def head(path: Path) -> bytes:
    """How a file begins: its first bytes, by which formats are told apart."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def bytes_to_decode(path: Path) -> bytes:
    """All of a file; of a large one that begins as no image, such as a video, its head alone, which says as much.

    Of special files only what a shell hands over by a descriptor is read, a pipe. Raises CorruptImageError for others,
    which may have no end, or never begin, and for more bytes than an image has.
    """
    status = path.stat()
    if stat.S_ISREG(status.st_mode):
        if status.st_size > _LARGE_BYTES and not begins_as(beginning := head(path)):
            return beginning
        if status.st_size > _MAX_BYTES:
            raise _too_many_bytes(f"a file of {status.st_size / 1e9:,.1f} GB")
        return path.read_bytes()
    if not (stat.S_ISFIFO(status.st_mode) and path.absolute().as_posix().startswith(_DESCRIPTORS)):
        raise CorruptImageError("not_an_image", "a device, pipe or socket; name a file, or - for standard input")
    with path.open("rb") as pipe:
        return stream_to_decode(pipe)


def stream_to_decode(stream: IO[bytes]) -> bytes:
    """The same of a pipe, which may have no end, whatever it begins as."""
    data = stream.read(_HEAD_BYTES)
    if begins_as(data):
        data += stream.read(_MAX_BYTES)
        if len(data) > _MAX_BYTES:
            raise _too_many_bytes("a stream that goes on")
        return data
    data += (rest := stream.read(_LARGE_BYTES))
    return data[:_HEAD_BYTES] if len(rest) == _LARGE_BYTES else data


def _too_many_bytes(found: str) -> CorruptImageError:
    return CorruptImageError("too_large", f"{found}; at most {_MAX_BYTES / 1e9:.1f} GB are read as one image")


def _first(patterns: dict[str, re.Pattern[bytes]], data: bytes) -> str:
    return next((name for name, pattern in patterns.items() if pattern.match(data)), "")
