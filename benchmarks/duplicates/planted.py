"""Images with near duplicates planted among them: originals, and each transformation of some of them."""

import hashlib
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from duplicates.transformations import TRANSFORMATIONS
from tandem.errors import CorruptImageError
from tandem.files import read_json
from tandem.images.decode import decode
from tandem.sources.synthetic import dataset as synthetic

ARCHIVES = (
    "kaggle/vehicle-type-recognition.zip",
    "kaggle/car-bike-dataset.zip",
    "kaggle/classificador-veiculos.zip",
    "roboflow/vehicles-openimages.v1.yolov8.zip",
)
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
SEED = 0
JPEG_QUALITY = 90
POOL = 2  # originals for each one that is transformed


class Images(NamedTuple):
    """paths: the originals, then the duplicates by each of TRANSFORMATIONS in order. original_of: row -> row."""

    paths: list[Path]
    num_originals: int
    original_of: np.ndarray

    @property
    def num_duplicates(self) -> int:
        """Of each transformation."""
        return (len(self.paths) - self.num_originals) // len(TRANSFORMATIONS)

    def rows(self, transformation: str) -> np.ndarray:
        """The originals and the duplicates by one transformation."""
        start = self.num_originals + list(TRANSFORMATIONS).index(transformation) * self.num_duplicates
        return np.concatenate([np.arange(self.num_originals), np.arange(start, start + self.num_duplicates)])


def plant(files: Sequence[bytes], num_transformed: int, folder: Path) -> Images:
    """Write the originals, and the duplicates of `num_transformed` of them, into the folder."""
    rng = random.Random(SEED)
    pool = sorted(rng.sample(range(len(files)), min(len(files), POOL * num_transformed)))
    chosen = sorted(rng.sample(range(len(pool)), min(len(pool), num_transformed)))
    paths, original_of = [], list(range(len(pool)))
    for row, number in enumerate(pool):
        image, extension = decode(files[number], min_side_px=1, max_pixels=2**63)
        paths.append(folder / f"{row:05}.{extension or 'png'}")
        if extension is None:
            image.save(paths[-1])
        else:
            paths[-1].write_bytes(files[number])
    for number, transform in enumerate(TRANSFORMATIONS.values()):
        for row in chosen:
            image = decode(paths[row].read_bytes(), min_side_px=1, max_pixels=2**63).image
            paths.append(folder / f"{row:05}-{number:02}.jpg")
            transform(image, rng).save(paths[-1], quality=JPEG_QUALITY)
            original_of.append(row)
    return Images(paths, len(pool), np.array(original_of))


def photographs(archives: Path) -> list[bytes]:
    """The files that decode, in the archives' order; of exact copies the first."""
    files: dict[str, bytes] = {}
    for name in ARCHIVES:
        with zipfile.ZipFile(archives / name) as archive:
            for member in sorted(archive.namelist()):
                if member.lower().endswith(EXTENSIONS):
                    data = archive.read(member)
                    files.setdefault(hashlib.sha256(data).hexdigest(), data)
    return [data for data in files.values() if is_image(data)]


def synthetic_scenes(folder: Path) -> list[bytes]:
    """One image of each scene of the embedded sample."""
    files: dict[str, bytes] = {}
    for style in ("kaggle", "roboflow"):
        (folder / style).mkdir()
        synthetic.generate_sample(folder / style, style=style, seed=7)
        for path, scene in read_json(folder / style / synthetic.TRUTH_FILE)["scenes"].items():
            files.setdefault(scene, (folder / path).read_bytes())
    return [data for data in files.values() if is_image(data)]


def is_image(data: bytes) -> bool:
    try:
        decode(data, min_side_px=32, max_pixels=100_000_000)
    except CorruptImageError:
        return False
    return True
