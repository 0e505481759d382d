"""The files of one source to stored images: each file decoded and checked once, each image stored once.

No label map is needed for it, so that labels change without an image being read.
"""

import hashlib
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tandem.datasets.earlier import EarlierImages
from tandem.datasets.examples import SourceAnnotations, resolve_boxes
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.formats.registry import read_annotations
from tandem.datasets.ingested import Found, Ingested, IngestedImage
from tandem.datasets.settings import IngestSettings
from tandem.datasets.unclaimed import unclaimed_files
from tandem.errors import CorruptImageError
from tandem.images.encoding import EncodedImage, encode_images
from tandem.images.hashing import NUM_BITS, NUM_ORIENTATIONS
from tandem.shards import ShardWriter
from tandem.sources.settings import Source

_MIN_CHUNK, _CHUNK_OF_WORKER = 64, 8  # files that are in memory at once

# by left, top, width and height, as of a Box; None for the whole image
_Images = Mapping[tuple[float, float, float, float] | None, EncodedImage | CorruptImageError]


def read_source(source: Source, *, files: Path) -> SourceAnnotations:
    """The annotations of a source, whose files lie in a folder."""
    return SourceAnnotations(files, read_annotations(files, format=source.format), source.boxes)


def ingest(
    name: str,
    source: SourceAnnotations,
    settings: IngestSettings,
    *,
    folder: Path,
    workers: int,
    earlier: EarlierImages | None = None,
) -> Ingested:
    """Decode the labelled images of a source, and write them into shards in `folder`, a chunk of them in memory.

    name: of the source, in messages. workers: threads. earlier: what need not be decoded again. Raises DataError for
    boxes without a policy on how to read them.
    """
    encode = partial(_encode, settings=settings, earlier=earlier or EarlierImages())
    annotations = resolve_boxes(name, source)
    boxes_of, found = _boxes_by_path(annotations), dict[tuple[str, Box | None], Found]()
    bar = tqdm(total=len(boxes_of), desc=f"ingest {name}", unit="image", disable=None)
    with ThreadPoolExecutor(workers) as pool, ShardWriter(folder, stem="images") as shards, bar:
        store = _Store(shards, source.boxes.min_side_px if source.boxes else 0)
        for paths in _chunks(list(boxes_of), max(_MIN_CHUNK, _CHUNK_OF_WORKER * workers)):
            files = dict(zip(paths, pool.map(_read, (source.root / path for path in paths)), strict=True))
            new = _new_boxes(files, boxes_of, store.known)
            data_of = dict(files.values())
            encoded = pool.map(encode, new, (data_of[digest] for digest in new), new.values())
            for digest, images in zip(new, encoded, strict=True):
                store.add(digest, images)
            for path, (digest, _) in files.items():
                found |= {(path, box): store.known[digest, box] for box in boxes_of[path]}
            bar.update(len(paths))
    return Ingested(
        annotations=tuple(annotations),
        found=found,
        images=tuple(store.images.values()),
        hashes=np.array(store.hashes, np.uint8).reshape(-1, NUM_ORIENTATIONS, NUM_BITS // 8),
        unclaimed=unclaimed_files(name, source.root, {annotation.path for annotation in annotations}),
    )


class _Store:
    """Writes each image whose pixels are new.

    known: (digest of a file, box) -> what came of it. images: by id, in the order of their first files. hashes: theirs.
    """

    def __init__(self, shards: ShardWriter, min_crop_px: int) -> None:
        self._shards, self._min_crop_px = shards, min_crop_px
        self.known = dict[tuple[str, Box | None], Found]()
        self.images = dict[str, IngestedImage]()
        self.hashes = list[np.ndarray]()

    def add(self, digest: str, images: _Images) -> None:
        """The images of a file with this digest."""
        for box, image in images.items():
            self.known[digest, box and Box(*box)] = self._add(digest, image, is_crop=box is not None)

    def _add(self, digest: str, image: EncodedImage | CorruptImageError, *, is_crop: bool) -> Found:
        if isinstance(image, CorruptImageError):
            return Found(digest, "", image.reason, str(image))
        if is_crop and min(image.width, image.height) < self._min_crop_px:
            return Found(digest, "", "small_box", f"the crop's shorter side is below {self._min_crop_px} pixels")
        if image.id not in self.images:
            file = f"{image.id}.{image.extension}"
            place = self._shards.add(file, image.data)
            self.images[image.id] = IngestedImage(
                id=image.id,
                file=file,
                width=image.width,
                height=image.height,
                **place._asdict(),
                sha256=hashlib.sha256(image.data).hexdigest(),
                **image.quality._asdict(),
            )
            self.hashes.append(image.hashes)
        return Found(digest, image.id, "", "")


def _boxes_by_path(annotations: Sequence[Annotation]) -> dict[str, dict[Box | None, None]]:
    """Path -> the boxes of it that are labelled, None for the whole image, as an ordered set."""
    found = defaultdict[str, dict[Box | None, None]](dict)
    for annotation in annotations:
        if annotation.label and not annotation.reason:
            found[annotation.path][annotation.box] = None
    return found


def _new_boxes(
    files: Mapping[str, tuple[str, bytes]],
    boxes_of: Mapping[str, Iterable[Box | None]],
    known: Container[tuple[str, Box | None]],
) -> dict[str, list[Box | None]]:
    """Digest -> the boxes of all files that hold its bytes, as far as they are not known. files: by path."""
    found = dict[str, list[Box | None]]()
    for path, (digest, _) in files.items():
        boxes = [box for box in boxes_of[path] if (digest, box) not in known]
        if boxes:
            found[digest] = list(dict.fromkeys([*found.get(digest, ()), *boxes]))
    return found


def _read(path: Path) -> tuple[str, bytes]:
    """Digest and bytes of a file."""
    data = path.read_bytes()
    return hashlib.sha256(data).hexdigest(), data


def _encode(
    digest: str, data: bytes, boxes: Iterable[Box | None], *, settings: IngestSettings, earlier: EarlierImages
) -> _Images:
    """The image and crops of a file, in order; for each of them the error if the file is corrupt."""
    known = {box: earlier.get(digest, box) for box in boxes}
    new = _decode(data, [box for box, image in known.items() if image is None], settings)
    return {box: new[box] if image is None else image for box, image in known.items()}


def _decode(data: bytes, boxes: Sequence[Box | None], settings: IngestSettings) -> _Images:
    if not boxes:
        return {}
    try:
        return encode_images(
            data,
            boxes,
            min_side_px=settings.min_side_px,
            max_pixels=settings.max_pixels,
            max_side_px=settings.max_side_px,
        )
    except CorruptImageError as error:
        return {**dict.fromkeys(boxes, error)}


def _chunks(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))
