"""Damage that decoders pass over: they fill what is missing with gray, or with what the wrong bytes happen to mean.

A JPEG is judged by libjpeg's own warnings, a PNG by its checksums. Lossless WebP, AVIF and HEIF have neither: there a
tail of zeros shows, as a download leaves that was cut and padded. In lossy WebP a flat image ends so, and formats of
plain values (BMP, PPM, TIFF) may hold anything.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice

import simplejpeg

_CORRUPT = "Corrupt JPEG data"  # how libjpeg begins a warning about entropy-coded data, and no other
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_END_OF_JPEG = b"\xff\xd9"
_MAX_ENDS = 8  # that are tried: thumbnails and second images have their own
_FEW_BYTES = 16  # that some cameras leave before the end of a sound JPEG
_READ_AHEAD_BYTES = 8  # of the padding, which the decoder took in before it stopped
_CHUNKS_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_CHECKED_CHUNKS = (b"IHDR", b"PLTE", b"IDAT")
_ZERO_TAIL = bytes(64)  # in which none of these ends by itself


def image_damage(data: bytes, format: str) -> str:
    """What is damaged in an encoded image that was decoded without an error; "" where nothing shows.

    format: Pillow's name of it.
    """
    find = {"JPEG": _jpeg_damage, "MPO": _jpeg_damage, "PNG": _png_damage, "WEBP": _webp_damage}.get(format)
    if find is None:
        return _media_damage(data) if format in ("AVIF", "HEIF") else ""
    return find(data)


def _jpeg_damage(data: bytes) -> str:
    """Bytes after the image are no damage, nor is padding at its end."""
    warning = _jpeg_warning(data)
    found = _LEFT_OVER.search(warning)
    return "" if found and _is_padded(data, int(found[1])) else warning


def _jpeg_warning(data: bytes) -> str:
    """The last warning of libjpeg about the entropy-coded data, "" for none."""
    try:
        _, _, colors, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        # the smallest image that still decodes every coefficient
        simplejpeg.decode_jpeg(
            data, "CMYK" if colors in ("CMYK", "YCCK") else "GRAY", min_factor=8, min_height=1, min_width=1
        )
    except ValueError as error:
        return str(error) if str(error).startswith(_CORRUPT) else ""
    return ""


def _is_padded(data: bytes, count: int) -> bool:
    """Whether the `count` bytes that libjpeg left over before the end are no image data.

    They are so if they are few, or one byte again and again that began where the image ended, and nothing is missing
    without them. Zeros that the decoder took for image data as well stand in place of what is lost.
    """
    for match in islice(re.finditer(_END_OF_JPEG, data), _MAX_ENDS):
        end = match.start()
        is_filler = count <= _FEW_BYTES or count <= _run_length(data, end) <= count + _READ_AHEAD_BYTES
        if is_filler and not _jpeg_warning(data[: end - count] + data[end:]):
            return True
    return False


def _run_length(data: bytes, end: int) -> int:
    """How often the byte before `end` stands there in a row."""
    return end - len(data[:end].rstrip(data[end - 1 : end]))


def png_without_metadata(data: bytes) -> bytes:
    """A PNG without the chunks that say nothing of its pixels or their orientation, which can be wrong or too large."""
    chunks = list(_png_chunks(data))
    kept = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
        for kind, content, checksum in chunks
        if kind in _CHUNKS_OF_PIXELS or (kind == b"eXIf" and zlib.crc32(kind + content) == checksum)
    )
    end = 8 + sum(12 + len(content) for _, content, _ in chunks)
    return data[:8] + kept + data[end:]  # a last chunk that is cut off stays so


def _png_damage(data: bytes) -> str:
    for kind, content, checksum in _png_chunks(data):
        if kind in _CHECKED_CHUNKS and zlib.crc32(kind + content) != checksum:
            return f"a wrong checksum of its chunk {kind.decode()}"
    return ""


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    start = 8
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            return
        yield data[start + 4 : start + 8], data[start + 8 : end], struct.unpack_from(">I", data, end)[0]
        start = end + 4


def _webp_damage(data: bytes) -> str:
    start = 12
    while start + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, start)
        end = start + 8 + length
        if kind == b"VP8L" and data[start + 8 : end].endswith(_ZERO_TAIL):
            return "its chunk VP8L ends in zeros"
        start = end + length % 2
    return ""


def _media_damage(data: bytes) -> str:
    """Of the boxes that AVIF and HEIF share."""
    start = 0
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + length if length >= 8 else len(data)
        if kind == b"mdat" and data[start + 8 : end].endswith(_ZERO_TAIL):
            return "its media data ends in zeros"
        start = end
    return ""
