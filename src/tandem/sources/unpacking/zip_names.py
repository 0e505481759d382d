"""How a member of a zip is called: headers, extra fields and flags may say three things."""

import struct
import zlib
from zipfile import ZipInfo

_IS_UTF8 = 0x800
_UNICODE_PATH = 0x7075  # of Info-ZIP, which WinRAR writes too; APPNOTE 4.6.9


def member_name(info: ZipInfo) -> str:
    """The name in the Unicode Path field, if it is of this header; else in UTF-8, flagged or not; else in cp437.

    macOS writes UTF-8 without the flag. No word of another encoding was seen that is UTF-8 by chance.
    """
    name = info.orig_filename  # `filename` is cut at the first NUL
    if info.flag_bits & _IS_UTF8:
        return name
    raw = name.encode("cp437")
    try:
        return (_unicode_path(info.extra, raw) or raw).decode("utf-8")
    except UnicodeDecodeError:
        return name


def _unicode_path(extra: bytes, raw: bytes) -> bytes:
    """b"" where there is none, or that of another name: the header was changed by a program that does not know it."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and field[:5] == b"\x01" + struct.pack("<L", zlib.crc32(raw)):
            return field[5:]
    return b""
