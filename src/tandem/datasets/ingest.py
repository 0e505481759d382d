"""Files to stored images: every file's bytes decoded once, every image stored once."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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

_QUEUED = 64  # images that may wait, encoded, to be written

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class StoredImage(NamedTuple):
    """A decoded image or crop and the name of its file. hashes: (8, 32) uint8."""

    id: str
    file: str
    width: int
    height: int
    hashes: np.ndarray


@dataclass(frozen=True)
class IngestResult:
    """images: for each example, in their order, its stored image or why its file is corrupt. num_files: that were read.

    num_byte_duplicates: files whose bytes an earlier file has. num_pixel_duplicates: images of other bytes but with the
    pixels of an earlier one.
    """

    images: Sequence[StoredImage | CorruptImageError]
    num_files: int
    num_byte_duplicates: int
    num_pixel_duplicates: int


class _Encoded(NamedTuple):
    image: StoredImage
    data: bytes


_Boxes = dict[Box | None, None]  # an ordered set
_Decoded = dict[Box | None, _Encoded] | CorruptImageError
_Stored = dict[Box | None, StoredImage] | CorruptImageError


def ingest(
    examples: Sequence[Example],
    roots: Mapping[str, Path],
    *,
    images_dir: Path,
    settings: MergeSettings,
    workers: int,
) -> IngestResult:
    """Decode the images of all examples and write them to `images_dir`, in constant memory.

    roots: the folder of each source. workers: threads.
    """
    digests = _digests(examples, roots, workers)
    boxes, path_of = defaultdict[str, _Boxes](dict), dict[str, Path]()
    for example in examples:
        digest = digests[example.source, example.path]
        boxes[digest][example.box] = None
        path_of.setdefault(digest, roots[example.source] / example.path)

    def work(digest: str) -> _Decoded:
        return _decode(path_of[digest].read_bytes(), boxes[digest], settings)

    by_pixels: dict[str, StoredImage] = {}
    by_digest: dict[str, _Stored] = {}
    decoded = tqdm(_in_order(work, list(boxes), workers), "merge", len(boxes), unit="image", disable=None)
    for digest, result in zip(boxes, decoded, strict=True):
        by_digest[digest] = result if isinstance(result, CorruptImageError) else _store(result, by_pixels, images_dir)
    num_images = sum(len(stored) for stored in by_digest.values() if isinstance(stored, dict))
    return IngestResult(
        images=[_image_of(example, by_digest[digests[example.source, example.path]]) for example in examples],
        num_files=len(digests),
        num_byte_duplicates=len(digests) - len(by_digest),
        num_pixel_duplicates=num_images - len(by_pixels),
    )


def _digests(examples: Sequence[Example], roots: Mapping[str, Path], workers: int) -> dict[tuple[str, str], str]:
    """(source, path) -> sha256 of each file, in the order of the examples."""
    keys = list(dict.fromkeys((example.source, example.path) for example in examples))
    digests = _in_order(sha256, [roots[source] / path for source, path in keys], workers)
    return dict(zip(keys, digests, strict=True))


def _in_order(work: Callable[[_Key], _Value], keys: Sequence[_Key], workers: int) -> Iterator[_Value]:
    """The results in the order of the keys, by `workers` threads that run a bounded way ahead."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(keys), _QUEUED):
            yield from pool.map(work, keys[start : start + _QUEUED])


def _decode(data: bytes, boxes: _Boxes, settings: MergeSettings) -> _Decoded:
    """The image and crops of a file; the error if it is corrupt."""
    try:
        image, extension = decode(data, min_side_px=settings.min_side_px, max_pixels=settings.max_pixels)
    except CorruptImageError as error:
        return error
    return {box: _encode(image, box, data, extension) for box in boxes}


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
    encoded: Mapping[Box | None, _Encoded], by_pixels: dict[str, StoredImage], images_dir: Path
) -> dict[Box | None, StoredImage]:
    """Write each image whose pixels are new; the first file that holds them gives the bytes."""
    for image, data in encoded.values():
        if by_pixels.setdefault(image.id, image) is image:
            (images_dir / image.file).write_bytes(data)
    return {box: by_pixels[image.id] for box, (image, _) in encoded.items()}


def _image_of(example: Example, stored: _Stored) -> StoredImage | CorruptImageError:
    return stored if isinstance(stored, CorruptImageError) else stored[example.box]
