"""Thumbnails of a run's images within the page."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from tandem.errors import DamagedFileError
from tandem.tables.stored import PackedImage

HEIGHT_PX = 144  # of the pixels; the page shows them smaller
_MAX_WIDTH_PX = 320
_QUALITY = 60


class Thumbnail(NamedTuple):
    """uri: data:image/webp. width, height: px, as the page shows it. alt: what it is, for who cannot see it."""

    uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Gallery:
    """Makes thumbnails of a run's images. images: id -> the encoded image."""

    images: Mapping[str, PackedImage]

    def thumbnail(self, id_: str, *, alt: str) -> Thumbnail:
        """Of one image. Raises DamagedFileError where its bytes are no image any more."""
        packed = self.images[id_]
        try:
            with Image.open(BytesIO(packed.read_bytes())) as image:
                image.draft("RGB", (2 * _MAX_WIDTH_PX, 2 * HEIGHT_PX))
                return thumbnail_of(image.convert("RGB"), alt=alt)
        except FileNotFoundError:
            raise DamagedFileError(packed.path, "is missing") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise DamagedFileError(packed.path, f"cannot be read at byte {packed.offset} ({error})") from None


def thumbnail_of(image: Image.Image, *, alt: str, height_px: int = HEIGHT_PX) -> Thumbnail:
    """Of an image in RGB, scaled down to at most this height; the same pixels give the same bytes."""
    factor = min(1.0, height_px / image.height, _MAX_WIDTH_PX / image.width)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    data = BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(data, "WEBP", quality=_QUALITY, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
    return Thumbnail(uri, *size, alt)
