"""Which JPEG files hold the same pixels, known from their bytes alone, for those that are never decoded fully.

Of an image of which all pixels are decoded, tandem.images.decode.pixel_id tells the same. The two kinds of ids never
meet: what is hashed begins with a digit there and with a letter here.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

_SOS, _EOI = 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}  # TEM; RST0 to RST7
# APP1 (EXIF, XMP), APP2 (ICC profiles, further images) to APP13, APP15, COM. APP0 and APP14 may tell of the colors.
_METADATA = {*range(0xE1, 0xEE), 0xEF, 0xFE}


def jpeg_id(data: bytes, *, orientation: int) -> str:
    """32 hex digits of the sha256 over the bytes that decide the pixels, and the orientation that they are turned by.

    Left out are metadata and what follows the image; tables, frame and entropy-coded data stay. So equal ids mean equal
    pixels, also where EXIF data was removed. The reverse does not hold: the same pixels encoded by other tables, or in
    another format, have another id.

    data: a JPEG that libjpeg decodes without a warning.
    """
    digest = hashlib.sha256(f"jpeg {orientation}".encode())
    for segment in _segments_of_pixels(data):
        digest.update(segment)
    return digest.hexdigest()[:32]


def _segments_of_pixels(data: bytes) -> Iterator[memoryview]:
    """Each with its marker, and with the entropy-coded data that follows it; the rest as a whole where none begins."""
    view, markers, start = memoryview(data), _markers(data), 2
    while start + 1 < len(data):
        if data[start] != 0xFF:
            yield view[start:]
            return
        kind = data[start + 1]
        if kind == _EOI:
            return
        if kind == 0xFF:  # padding
            start += 1
            continue
        end = start + 2
        if kind not in _WITHOUT_LENGTH:
            end += int.from_bytes(data[end : end + 2], "big")
        if kind == _SOS:
            at = bisect_left(markers, end)
            end = int(markers[at]) if at < len(markers) else len(data)
        if kind not in _METADATA:
            yield view[start:end]
        start = end


def _markers(data: bytes) -> np.ndarray:
    """Where a marker stands that would end entropy-coded data: no stuffed byte, restart or padding."""
    values = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(values[:-1] == 0xFF)
    after = values[places + 1]
    return places[(after != 0) & (after != 0xFF) & ((after < 0xD0) | (after > 0xD7))]
