"""Claimed files to images: every file's bytes decoded once, every image stored once."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from tandem.datasets.examples import Example
from tandem.datasets.formats.annotations import Box
from tandem.datasets.settings import MergeSettings
from tandem.errors import CorruptImageError
from tandem.files import sha256
from tandem.images.decode import decode, pixel_id
from tandem.images.hashing import dihedral_phashes

_AHEAD = 64  # images that may wait, encoded, to be written

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class StoredImage(NamedTuple):
    """A decoded image or crop and the name of its file. hashes: (8, 32) uint8."""

    id: str
    file: str
    width: int
    height: int
    hashes: np.ndarray


class _Encoded(NamedTuple):
    view: StoredImage
    data: bytes


@dataclass(frozen=True)
class IngestResult:
    """digests: (source, path) -> sha256 of the file. found: sha256 -> a view for each box, or what is wrong."""

    digests: Mapping[tuple[str, str], str]
    found: Mapping[str, dict[Box | None, StoredImage] | CorruptImageError]

    def of(self, claim: Example) -> StoredImage | CorruptImageError:
        """What a claim shows."""
        found = self.found[self.digests[claim.source, claim.path]]
        return found if isinstance(found, CorruptImageError) else found[claim.box]

    @property
    def num_byte_duplicates(self) -> int:
        """Files whose bytes an earlier file has."""
        return len(self.digests) - len(self.found)

    @property
    def num_pixel_duplicates(self) -> int:
        """Images of other bytes but with the pixels of an earlier one."""
        views = [view for found in self.found.values() if isinstance(found, dict) for view in found.values()]
        return len(views) - len({view.id for view in views})


def ingest(
    claims: Iterable[Example],
    roots: Mapping[str, Path],
    *,
    images_dir: Path,
    settings: MergeSettings,
    workers: int,
) -> IngestResult:
    """Decode what is claimed and write it to `images_dir`, in constant memory. roots: the folder of each source."""
    boxes: dict[tuple[str, str], dict[Box | None, None]] = defaultdict(dict)
    for claim in claims:
        boxes[claim.source, claim.path][claim.box] = None
    paths = {key: roots[key[0]] / key[1] for key in boxes}
    digests = dict(zip(paths, _in_order(sha256, list(paths.values()), workers), strict=True))
    path_of = {digest: paths[key] for key, digest in reversed(digests.items())}
    wanted: dict[str, dict[Box | None, None]] = defaultdict(dict)
    for key, digest in digests.items():
        wanted[digest] |= boxes[key]

    def decoded(digest: str) -> dict[Box | None, _Encoded] | CorruptImageError:
        data = path_of[digest].read_bytes()
        try:
            image, extension = decode(data, min_side_px=settings.min_side_px, max_pixels=settings.max_pixels)
        except CorruptImageError as error:
            return error
        return {box: _encode(image, box, data, extension) for box in wanted[digest]}

    found: dict[str, dict[Box | None, StoredImage] | CorruptImageError] = {}
    stored: dict[str, StoredImage] = {}
    results = tqdm(_in_order(decoded, list(wanted), workers), "merge", len(wanted), unit="image", disable=None)
    for digest, result in zip(wanted, results, strict=True):
        found[digest] = result if isinstance(result, CorruptImageError) else _store(result, stored, images_dir)
    return IngestResult(digests, found)


def _in_order(work: Callable[[_Key], _Value], keys: Sequence[_Key], workers: int) -> Iterator[_Value]:
    """The results in the order of the keys, by `workers` threads that run a bounded way ahead."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(keys), _AHEAD):
            yield from pool.map(work, keys[start : start + _AHEAD])


def _encode(image: Image.Image, box: Box | None, data: bytes, extension: str | None) -> _Encoded:
    """Keep the file's own bytes where they hold exactly these pixels; else a PNG of them."""
    if box is not None:
        left = min(round(box.left * image.width), image.width - 1)
        top = min(round(box.top * image.height), image.height - 1)
        right, bottom = round((box.left + box.width) * image.width), round((box.top + box.height) * image.height)
        image = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    if box is not None or extension is None:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        data, extension = buffer.getvalue(), "png"
    id_ = pixel_id(image)
    return _Encoded(StoredImage(id_, f"{id_}.{extension}", image.width, image.height, dihedral_phashes(image)), data)


def _store(
    encoded: Mapping[Box | None, _Encoded], stored: dict[str, StoredImage], images_dir: Path
) -> dict[Box | None, StoredImage]:
    """Write each image whose pixels are new; the first file that holds them gives the bytes."""
    for view, data in encoded.values():
        if stored.setdefault(view.id, view) is view:
            (images_dir / view.file).write_bytes(data)
    return {box: stored[view.id] for box, (view, _) in encoded.items()}
