"""An id that is blind to metadata, and to nothing that decides a pixel."""

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from tandem.images.identity import jpeg_id

KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 4},
}
each_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


def jpeg(**options: Any) -> bytes:
    pixels, buffer = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def upright_id(data: bytes) -> str:
    return jpeg_id(data, orientation=1)


@each_kind
@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xEC, 0xED, 0xEF, 0xFE])
@pytest.mark.parametrize("content", [b"", b"Exif\0\0words", b"\xff\xd9", b"\xff\xda\xff\xdb" * 9])
def test_metadata_change_no_id_wherever_they_stand(options: dict[str, Any], marker: int, content: bytes) -> None:
    data, added = jpeg(**options), segment(marker, content)
    for start in (2, data.index(b"\xff\xdb"), data.rindex(b"\xff\xda"), len(data) - 2):
        longer = data[:start] + added + data[start:]
        assert np.array_equal(simplejpeg.decode_jpeg(longer), simplejpeg.decode_jpeg(data))
        assert upright_id(longer) == upright_id(data)


@each_kind
@pytest.mark.parametrize("rest", [b"\0" * 9, b"words", jpeg()])
def test_what_follows_the_image_changes_no_id(options: dict[str, Any], rest: bytes) -> None:
    assert upright_id(jpeg(**options) + rest) == upright_id(jpeg(**options))


@each_kind
def test_each_byte_of_tables_frame_and_data_changes_the_id(options: dict[str, Any]) -> None:
    data = jpeg(**options)
    changed = {
        upright_id(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]) for place in range(4, len(data) - 2, 3)
    }
    assert len(changed) == len(range(4, len(data) - 2, 3))
    assert upright_id(data) not in changed


@each_kind
def test_equal_ids_mean_equal_pixels(options: dict[str, Any]) -> None:
    """Of all files that a changed byte leaves sound."""
    data, pixels_of = jpeg(**options), dict[str, bytes]()
    for place in range(2, len(data)):
        other = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        try:
            pixels = simplejpeg.decode_jpeg(other).tobytes()
        except ValueError:
            continue
        assert pixels_of.setdefault(upright_id(other), pixels) == pixels
    assert len(pixels_of) > 100


def test_an_id_is_32_hex_digits_and_another_for_each_orientation() -> None:
    ids = [jpeg_id(jpeg(), orientation=orientation) for orientation in range(1, 9)]
    assert len(set(ids)) == 8
    assert {len(bytes.fromhex(each)) for each in ids} == {16}


def test_the_colors_that_app14_states_are_part_of_the_id() -> None:
    data = jpeg()
    adobe = [segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) for transform in (0, 1)]
    start = data.index(b"\xff\xdb")
    bare = data[:2] + data[start:]  # JFIF would overrule it
    files = [bare[:2] + each + bare[2:] for each in adobe]
    rgb, ycc = (simplejpeg.decode_jpeg(each) for each in files)
    assert not np.array_equal(rgb, ycc)
    assert len({upright_id(each) for each in (*files, bare, data)}) == 4


def test_bytes_that_begin_no_segment_are_all_part_of_the_id() -> None:
    start = jpeg().index(b"\xff\xdb")
    files = [jpeg()[:start] + odd + jpeg()[start:] for odd in (b"\0", b"\1", b"\0\1")]
    files += [file + b"more" for file in files]
    assert all(one != other for one, other in pairwise(sorted(map(upright_id, files))))


def test_restarts_and_padding_between_segments_are_passed_over() -> None:
    data = jpeg()
    start = data.index(b"\xff\xdb")
    padded, stray = (data[:start] + odd + data[start:] for odd in (b"\xff\xff\xff", b"\xff\xd0"))
    assert upright_id(padded) == upright_id(data)
    assert np.array_equal(simplejpeg.decode_jpeg(stray), simplejpeg.decode_jpeg(data))
    assert upright_id(stray + b"after its end") == upright_id(stray) != upright_id(data)
