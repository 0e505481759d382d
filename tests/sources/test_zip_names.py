"""Names of members as Info-ZIP, WinRAR, macOS and Windows write them."""

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tandem.errors import SourceError
from tandem.sources.unpacking.unpack import unpack
from tandem.sources.unpacking.zip_names import member_name

NAME = "caminhão/1.jpg"


def unicode_path(header: bytes, name: bytes, version: bytes = b"\1") -> bytes:
    body = version + struct.pack("<L", zlib.crc32(header)) + name
    return struct.pack("<HH", 0x7075, len(body)) + body


def info_of(raw: bytes, extra: bytes = b"", flags: int = 0) -> zipfile.ZipInfo:
    """As zipfile reads the header of a member whose name has these bytes."""
    info = zipfile.ZipInfo(raw.decode("utf-8" if flags & 0x800 else "cp437"))
    info.extra, info.flag_bits = extra, flags
    return info


CP850 = NAME.encode("cp850")


@pytest.mark.parametrize(
    ("info", "name"),
    [
        (info_of(NAME.encode(), flags=0x800), NAME),
        (info_of(NAME.encode()), NAME),  # macOS
        (info_of(CP850, unicode_path(CP850, NAME.encode())), NAME),  # WinRAR, Info-ZIP
        (info_of(CP850, struct.pack("<HHL", 0x5455, 4, 0) + unicode_path(CP850, NAME.encode())), NAME),
        (info_of(b"plain.jpg", unicode_path(b"plain.jpg", b"other.jpg")), "other.jpg"),
        (info_of(CP850, unicode_path(b"renamed", NAME.encode())), CP850.decode("cp437")),
        (info_of(CP850, unicode_path(CP850, NAME.encode(), version=b"\2")), CP850.decode("cp437")),
        (info_of(CP850, unicode_path(CP850, b"\xff")), CP850.decode("cp437")),
        (info_of(CP850, b"\x75\x70"), CP850.decode("cp437")),
        (info_of("Größe.jpg".encode("cp437")), "Größe.jpg"),
        (info_of(b"a/1.jpg"), "a/1.jpg"),
        (info_of(b""), ""),
    ],
)
def test_the_name_is_the_one_that_the_maker_meant(info: zipfile.ZipInfo, name: str) -> None:
    assert member_name(info) == name


def test_a_member_is_unpacked_under_its_unicode_path(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo(NAME.replace("ã", "@"))
        info.extra = unicode_path(CP850, NAME.encode())
        file.writestr(info, b"1")
    data = (tmp_path / "a.zip").read_bytes().replace(b"caminh@o", "caminhão".encode("cp850"))
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "target").mkdir()
    unpack(tmp_path / "a.zip", tmp_path / "target")
    assert (tmp_path / "target" / NAME).read_bytes() == b"1"


def test_a_name_that_is_unsafe_only_in_its_unicode_path_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("safe.jpg")
        info.extra = unicode_path(b"safe.jpg", b"../evil.jpg")
        file.writestr(info, b"1")
    (tmp_path / "target").mkdir()
    with pytest.raises(SourceError, match=r"points outside the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []
