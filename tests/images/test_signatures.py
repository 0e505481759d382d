"""An image is known by its suffix or by its bytes, whatever else its name says."""

import io
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from tandem.errors import CorruptImageError
from tandem.images import signatures
from tandem.images.signatures import bytes_to_decode, is_image_file, stream_to_decode, unread_format

READ = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "navy").save(buffer, format)
    return buffer.getvalue()


def planted(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("format", READ)
@pytest.mark.parametrize("name", ["1.jpg.1", "1.jpg_large", "1.bin", "1.jpg~", "1", "photo of a car", "1.jpg?raw=true"])
def test_an_image_is_known_by_its_bytes_whatever_its_name(tmp_path: Path, format: str, name: str) -> None:
    assert is_image_file(planted(tmp_path, name, encoded(format)))


@pytest.mark.parametrize("name", ["1.jpg", "1.JPG", "1.Ppm", "1.tga", "1.jp2", "1.heic", "1.jfif"])
def test_a_file_of_an_images_name_means_to_be_one(tmp_path: Path, name: str) -> None:
    assert is_image_file(planted(tmp_path, name, b""))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("1.txt", b"0 0.5 0.5 1 1"),
        ("README", b"P1 is where the race began"),
        ("BMW", b"BMW cars, all of them, in one list of many lines"),
        ("1.zip", b"PK\3\4"),
        ("1.cr2", b"II*\0 a raw of a camera"),
        ("1.wav", b"RIFF1234WAVE"),
        ("1.mp4", b"\0\0\0\x20ftypisom"),
        ("empty", b""),
        ("1.jpg.txt", b"beside an image"),
    ],
)
def test_what_is_no_image_is_none(tmp_path: Path, name: str, data: bytes) -> None:
    assert not is_image_file(planted(tmp_path, name, data))


@pytest.mark.parametrize("format", ["ICO", "DDS"])
def test_a_format_that_is_not_read_is_named(tmp_path: Path, format: str) -> None:
    path = planted(tmp_path, "1.bin", encoded(format))
    assert not is_image_file(path)
    assert unread_format(path) == {"ICO": "icon"}.get(format, format)


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("1.psd", b"8BPS\0\1", "PSD"),
        ("1.svg", b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "SVG"),
        ("1.dcm", bytes(128) + b"DICM", "DICOM"),
        ("1.jxl", b"\xff\x0a\xfa", "JPEG XL"),
        ("1.NEF", b"MM\0*", "raw of a camera"),
        ("1.txt", b"0 0.5 0.5 1 1", ""),
        ("1.xml", b'<?xml version="1.0"?><annotation/>', ""),
    ],
)
def test_other_formats_are_named_and_texts_are_not(tmp_path: Path, name: str, data: bytes, format: str) -> None:
    assert unread_format(planted(tmp_path, name, data)) == format


def test_of_a_large_file_that_is_no_image_only_the_head_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "_LARGE_BYTES", 2000)
    files = {"ride.mp4": b"\0\0\0\x20ftypisom", "large.png": b"\x89PNG\r\n\x1a\n", "small.txt": b"to do"}
    for name, beginning in files.items():
        (tmp_path / name).write_bytes(beginning + bytes(0 if name == "small.txt" else 3000))
    assert len(bytes_to_decode(tmp_path / "ride.mp4")) < 1000
    assert len(bytes_to_decode(tmp_path / "large.png")) == 3008
    assert bytes_to_decode(tmp_path / "small.txt") == b"to do"


def test_special_files_are_not_opened_and_a_pipe_of_the_shell_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # without a writer, for which opening it would wait
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        for path in (tmp_path / "pipe.png", tmp_path / "socket.png", Path("/dev/zero")):
            with pytest.raises(
                CorruptImageError, match="a device, pipe or socket; name a file, or - for standard input"
            ):
                bytes_to_decode(path)
    reading, writing = os.pipe()
    os.write(writing, encoded("PNG"))
    os.close(writing)
    assert bytes_to_decode(Path(f"/dev/fd/{reading}")) == encoded("PNG")
    os.close(reading)


def test_a_stream_without_end_that_is_no_image_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_LARGE_BYTES", 2000)
    with Path("/dev/zero").open("rb") as endless:
        assert stream_to_decode(endless) == bytes(512)
    assert stream_to_decode(io.BytesIO(b"to do" * 300)) == b"to do" * 300
    assert len(stream_to_decode(io.BytesIO(encoded("PNG") + bytes(5000)))) == len(encoded("PNG")) + 5000


def test_more_bytes_than_an_image_has_are_not_read_whatever_they_begin_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    png, path = encoded("PNG"), tmp_path / "slide.tif"
    path.write_bytes(b"II*\0")
    os.truncate(path, 2**31 + 1)  # a file with a hole, which takes no space
    with pytest.raises(CorruptImageError, match=r"a file of 2\.1 GB; at most 2\.1 GB are read as one image"):
        bytes_to_decode(path)
    monkeypatch.setattr(signatures, "_MAX_BYTES", len(png) + 5000)
    assert len(stream_to_decode(io.BytesIO(png + bytes(5000)))) == len(png) + 5000
    with Path("/dev/zero").open("rb") as endless:
        stream = io.BufferedReader(_Joined(png, endless))
        with pytest.raises(CorruptImageError, match=r"a stream that goes on; at most .* GB are read as one image"):
            stream_to_decode(stream)


class _Joined(io.RawIOBase):
    """Bytes, and what comes after them in another stream, as `cat` would write them to a pipe."""

    def __init__(self, data: bytes, rest: io.BufferedReader) -> None:
        self.data, self.rest = io.BytesIO(data), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self.data.readinto(buffer) or self.rest.readinto(buffer)
