"""Images without labels, such as a folder that a finished project is asked about: what ingest would store of each.

So what is measured of them, and what a backbone sees of them, is what it would be if they were a source.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tandem.datasets.filenames import upload_stem, video_name
from tandem.datasets.settings import IngestSettings
from tandem.errors import CorruptImageError
from tandem.images.encoding import EncodedImage, encode_images
from tandem.images.hashing import NUM_BITS, NUM_ORIENTATIONS
from tandem.images.quality import Quality
from tandem.images.signatures import bytes_to_decode
from tandem.tables.stored import PackedImage

_FILES_A_STEP = 64  # that are decoded at a time; what is stored of them is held meanwhile
_NOT_AN_IMAGE = "not_an_image"


class FailedFile(NamedTuple):
    """A file that is no usable image. failure: why not. is_image: whether it means to be one."""

    path: Path
    failure: str
    is_image: bool


@dataclass(frozen=True, eq=False)
class UnlabeledImages:
    """Columns, one entry a file that is a usable image, in the order of the files. What they hold: EncodedImage.

    paths: N. ids: N, equal where the pixels are. sha256: N, of the bytes that are stored, which `packed` reads.
    widths, heights: (N,) int64, px. hashes: (N, 8, 32) uint8. failed: of the files that were read. num_files: of all.
    """

    paths: tuple[Path, ...]
    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    packed: tuple[PackedImage, ...]
    widths: np.ndarray
    heights: np.ndarray
    hashes: np.ndarray
    quality: tuple[Quality, ...]
    failed: tuple[FailedFile, ...]
    num_files: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_unread(self) -> int:
        """Files that were not read, since there were enough images."""
        return self.num_files - len(self) - len(self.failed)

    @property
    def provenance_keys(self) -> list[tuple[str, ...]]:
        """What the file name of each image shares with others of its folder: an upload to Roboflow, a video."""
        found = []
        for path in self.paths:
            named = {"stem": upload_stem(path.name), "video": video_name("/".join(path.parts[-2:]))}
            found.append(tuple(f"{kind}:{path.parent}/{name}" for kind, name in named.items() if name))
        return found


class _Stored(NamedTuple):
    image: EncodedImage  # without its bytes
    place: PackedImage
    sha256: str


def read_unlabeled(
    paths: Sequence[Path], settings: IngestSettings, *, pack_path: Path, max_images: int, seed: int, workers: int
) -> UnlabeledImages:
    """Decode files once, and write what ingest would store of them, one after another, to a new file.

    max_images: of more files, so many images are read in an order that the seed decides. What cannot be read, is no
    image, or is out of the limits of the settings is in `failed`.
    """
    order = np.arange(len(paths))
    if len(paths) > max_images:
        order = np.random.default_rng(seed).permutation(len(paths))
    stored, failed = dict[int, _Stored](), dict[int, FailedFile]()
    with (
        pack_path.open("wb") as pack,
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=min(len(paths), max_images), desc="read images", unit="image", disable=None) as bar,
    ):
        for at, each in _encoded(paths, order, settings, pool):
            if len(stored) == max_images:
                break
            if isinstance(each, FailedFile):
                failed[at] = each
                continue
            place = PackedImage(pack_path, pack.tell(), len(each.data))
            pack.write(each.data)
            stored[at] = _Stored(each._replace(data=b""), place, hashlib.sha256(each.data).hexdigest())
            bar.update()
    return _table(paths, stored, failed)


def _encoded(
    paths: Sequence[Path], order: np.ndarray, settings: IngestSettings, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, EncodedImage | FailedFile]]:
    """Position and image of each file, in this order."""
    encode = partial(_encode, settings=settings)
    for start in range(0, len(order), _FILES_A_STEP):
        step = order[start : start + _FILES_A_STEP].tolist()
        yield from zip(step, pool.map(encode, [paths[at] for at in step]), strict=True)


def _encode(path: Path, *, settings: IngestSettings) -> EncodedImage | FailedFile:
    limits = {"min_side_px": settings.min_side_px, "max_pixels": settings.max_pixels}
    try:
        return encode_images(bytes_to_decode(path), [None], max_side_px=settings.max_side_px, **limits)[None]
    except CorruptImageError as error:
        return FailedFile(path, str(error), error.reason != _NOT_AN_IMAGE)
    except OSError as error:
        return FailedFile(path, error.strerror or str(error), is_image=True)


def _table(paths: Sequence[Path], stored: Mapping[int, _Stored], failed: Mapping[int, FailedFile]) -> UnlabeledImages:
    rows = sorted(stored)
    images = [stored[row].image for row in rows]
    return UnlabeledImages(
        paths=tuple(paths[row] for row in rows),
        ids=tuple(image.id for image in images),
        sha256=tuple(stored[row].sha256 for row in rows),
        packed=tuple(stored[row].place for row in rows),
        widths=np.array([image.width for image in images], dtype=np.int64),
        heights=np.array([image.height for image in images], dtype=np.int64),
        hashes=np.array([image.hashes for image in images], np.uint8).reshape(-1, NUM_ORIENTATIONS, NUM_BITS // 8),
        quality=tuple(image.quality for image in images),
        failed=tuple(failed[row] for row in sorted(failed)),
        num_files=len(paths),
    )
