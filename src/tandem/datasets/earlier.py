"""What an earlier run of ingest made of a source's files, so that a file that has not changed is not decoded again.

It is found in that run's own output. That it was made by the same settings, code and libraries is kept outside of the
output, since a change of code changes no image. What comes is the same bytes as from nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tandem.datasets.formats.annotations import Box
from tandem.datasets.ingested import Ingested, IngestedImage, load_ingested
from tandem.datasets.settings import IngestSettings
from tandem.errors import CorruptImageError, DamagedFileError
from tandem.files import sha256, write_text
from tandem.images.encoding import EncodedImage
from tandem.images.quality import Quality
from tandem.libraries import versions_of
from tandem.tables.stored import PackedImage

DECODING_LIBRARIES = ("pillow", "simplejpeg", "pi-heif", "numpy", "scipy", "opencv-python-headless")
_TABLES = ("found.csv", "images.csv", "hashes.npy")


class EarlierImages:
    """Images by the digest of their file and their box, None for the whole image. folder: of their shards."""

    def __init__(self, ingested: Ingested | None = None, folder: Path = Path()) -> None:
        self._folder = folder
        self._found = {(each.sha256, box): each for (_, box), each in ingested.found.items()} if ingested else {}
        rows = zip(ingested.images, ingested.hashes, strict=True) if ingested else ()
        self._images = dict[str, tuple[IngestedImage, np.ndarray]]((image.id, (image, row)) for image, row in rows)

    def get(self, digest: str, box: Box | None) -> EncodedImage | CorruptImageError | None:
        """What came of it, or None where that is not known, or its bytes are not as they were."""
        found = self._found.get((digest, box))
        if found is None or found.reason == "small_box":  # which is for boxes' settings to say
            return None
        if found.reason:
            return CorruptImageError(found.reason, found.detail)
        image, hashes = self._images[found.id]
        try:
            data = PackedImage(self._folder / image.shard, image.offset, image.num_bytes).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != image.sha256:
            return None
        quality = Quality(image.blur, image.brightness, image.entropy)
        extension = image.file.rpartition(".")[2]
        return EncodedImage(image.id, extension, data, image.width, image.height, hashes, quality)


def load_earlier(folder: Path, record: Path, settings: IngestSettings, *, code: Path) -> EarlierImages:
    """Of the output in `folder`, where `record` says that it was made so; none where that is not known.

    code: the list of code that the stage runs.
    """
    try:
        if record.read_text(encoding="utf-8") == _made(folder, settings, code):
            return EarlierImages(load_ingested(folder), folder)
    except (OSError, ValueError, DamagedFileError):
        pass
    return EarlierImages()


def save_record(folder: Path, record: Path, settings: IngestSettings, *, code: Path) -> None:
    """Write how the output in `folder` was made."""
    write_text(record, _made(folder, settings, code))


def _made(folder: Path, settings: IngestSettings, code: Path) -> str:
    tables = {name: sha256(folder / name) for name in _TABLES}
    made: Mapping[str, object] = {
        "settings": asdict(settings),
        "code": sha256(code),
        "libraries": versions_of(DECODING_LIBRARIES),
        "tables": tables,
    }
    return json.dumps(made, sort_keys=True)
