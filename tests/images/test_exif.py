"""What files state of their capture, written by Pillow as cameras and phones write it, and damaged in many ways."""

import base64
import io
import random

import pytest
from PIL import Image

from tandem.images.exif import Capture, read_capture

MAKE, MODEL, CHANGED, EXIF_IFD = 0x010F, 0x0110, 0x0132, 0x8769
ORIGINAL, DIGITIZED, OFFSET, OFFSET_ORIGINAL, FRACTION, SERIAL = 0x9003, 0x9004, 0x9010, 0x9011, 0x9291, 0xA431
TIME = "2024:05:01 10:11:12"
HEIC = base64.b64decode(  # 64 x 64 px, by pillow-heif
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAZdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAABuwABAAAAAAAAABgAAgAAAAAB0wABAAAAAAAAAHAAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAi"
    "QAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAB"
    "ppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAAkG1kYXQAAAAUKAGvBBj8eTjr//k1J+y8n515HQ4AAAAGRXhpZgAATU0AKgAAAAgAAgEPAAIAAAAG"
    "AAAAJodpAAQAAAABAAAALAAAAABBcHBsZQAAApADAAIAAAAUAAAASpARAAIAAAAHAAAAXgAAAAAyMDI0OjA1OjAxIDEwOjExOjEyACswMjowMA"
    "AA"
)


def exif_of(tags: dict[int, str]) -> Image.Exif:
    exif = Image.Exif()
    for tag, text in tags.items():
        (exif if tag < EXIF_IFD else exif.get_ifd(EXIF_IFD))[tag] = text
    return exif


def file_with(tags: dict[int, str], format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 99, 199)).save(buffer, format, exif=exif_of(tags).tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_time_and_camera_are_read_in_every_format_that_holds_them(format: str) -> None:
    tags = {MAKE: "Canon", MODEL: "Canon EOS 6D", ORIGINAL: TIME, FRACTION: "25", SERIAL: "252020009837"}
    found = Capture("2024-05-01T10:11:12.250000", "Canon / Canon EOS 6D / 252020009837")
    assert read_capture(file_with({**tags, OFFSET_ORIGINAL: "+02:00"}, format)) == found._replace(
        captured_at=f"{found.captured_at}+02:00"
    )
    assert read_capture(file_with(tags, format)) == found
    assert read_capture(file_with({}, format)) == Capture()


def test_heic_has_them_where_it_can_be_read() -> None:
    pytest.importorskip("pi_heif")
    assert read_capture(HEIC) == Capture("2024-05-01T10:11:12+02:00", "Apple")


@pytest.mark.parametrize(
    ("tags", "captured_at"),
    [
        ({DIGITIZED: TIME}, "2024-05-01T10:11:12"),
        ({ORIGINAL: "    :  :     :  :  ", DIGITIZED: TIME}, "2024-05-01T10:11:12"),
        ({CHANGED: TIME}, ""),  # when a program wrote the file
        ({ORIGINAL: "2024-05-01T10:11:12"}, "2024-05-01T10:11:12"),
        ({ORIGINAL: f" {TIME}\0", FRACTION: " 7 "}, "2024-05-01T10:11:12.700000"),
        ({ORIGINAL: TIME, FRACTION: "123456789"}, "2024-05-01T10:11:12.123456"),
        ({ORIGINAL: TIME, FRACTION: "x"}, "2024-05-01T10:11:12"),
        ({ORIGINAL: TIME, OFFSET_ORIGINAL: "-03:30"}, "2024-05-01T10:11:12-03:30"),
        ({ORIGINAL: TIME, OFFSET_ORIGINAL: "Z"}, "2024-05-01T10:11:12"),
        ({ORIGINAL: TIME, CHANGED: TIME, OFFSET: "+01:00"}, "2024-05-01T10:11:12+01:00"),
        ({ORIGINAL: TIME, CHANGED: "2025:01:01 09:00:00", OFFSET: "+01:00"}, "2024-05-01T10:11:12"),
        ({ORIGINAL: "0000:00:00 00:00:00"}, ""),
        ({ORIGINAL: "2024:02:30 10:11:12"}, ""),
        ({ORIGINAL: "2024:05:01 24:11:12"}, ""),
        ({ORIGINAL: TIME, OFFSET_ORIGINAL: "+99:00"}, ""),
        ({ORIGINAL: "2024:05:01"}, ""),
        ({ORIGINAL: "yesterday"}, ""),
        ({ORIGINAL: ""}, ""),
        ({ORIGINAL: "２０２４:05:01 10:11:12"}, ""),
        ({ORIGINAL: "2000:01:01 00:00:00"}, "2000-01-01T00:00:00"),  # whether it is believed is for curation to say
    ],
)
def test_a_time_is_what_is_stated_and_can_be(tags: dict[int, str], captured_at: str) -> None:
    assert read_capture(file_with({MAKE: "Canon", **tags})) == Capture(captured_at, "Canon")


@pytest.mark.parametrize(
    ("tags", "camera"),
    [
        ({MAKE: "SONY ", MODEL: "DSC-W5\0\0"}, "SONY / DSC-W5"),
        ({MODEL: "SP-3000"}, "SP-3000"),
        ({0xC62F: "077"}, "077"),
        ({MAKE: "Ünï", MODEL: "M\x01", SERIAL: "\n"}, ""),
        ({MAKE: "x" * 100}, "x" * 64),
        ({}, ""),
    ],
)
def test_a_camera_is_make_model_and_serial_number_as_far_as_they_are_texts(tags: dict[int, str], camera: str) -> None:
    data = file_with({ORIGINAL: TIME, **tags}).replace(b"?n?\0", "Ünï\0".encode("latin-1"))  # as Pillow writes none
    assert read_capture(data) == Capture("2024-05-01T10:11:12", camera)


def test_both_orders_of_bytes_are_read() -> None:
    little = exif_of({MAKE: "Nikon", ORIGINAL: TIME})
    little.endian = "<"
    texts = {}
    for endian in "<>":
        exif = Image.Exif()
        exif.endian = endian
        exif[MAKE] = "Nikon Corporation"
        texts[exif.tobytes()[6:8]] = read_capture(b"\xff\xd8\xff\xe1\0\xff" + exif.tobytes()).camera
    assert texts == {b"II": "Nikon Corporation", b"MM": "Nikon Corporation"}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, which opens AVIF
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_no_damage_to_a_file_is_an_error(format: str) -> None:
    whole, chance = file_with({MAKE: "Canon", ORIGINAL: TIME, SERIAL: "1" * 12}, format), random.Random(0)
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(min(len(data), 400))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        found = read_capture(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        assert isinstance(found, Capture)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1", b"no image", b"MM\0*\0\0\0\0", b"II*\0"])
def test_bytes_that_are_no_file_state_nothing(data: bytes) -> None:
    assert read_capture(data) == Capture()


def test_a_directory_that_points_at_itself_ends() -> None:
    tiff = b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\0"
    assert read_capture(tiff) == Capture()
