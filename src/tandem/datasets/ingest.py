"""The files of one source to stored images: each file decoded and checked once, each image stored once.

No label map is needed for it, so that labels change without an image being read.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from tandem.datasets.examples import SourceAnnotations, resolve_boxes
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.formats.registry import read_annotations
from tandem.datasets.ingested import Found, Ingested, IngestedImage
from tandem.datasets.settings import IngestSettings
from tandem.datasets.unclaimed import unclaimed_files
from tandem.errors import CorruptImageError
from tandem.images.encoding import EncodedImage, encode_images
from tandem.images.hashing import NUM_BITS, NUM_ORIENTATIONS
from tandem.images.shards import ShardWriter
from tandem.sources.settings import Source

_QUEUED = 64  # images that may wait, encoded, to be written

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _File(NamedTuple):
    """A file that was read. images: of those boxes (None: whole) that no file of the same bytes was read for."""

    sha256: str
    images: Mapping[Box | None, EncodedImage | CorruptImageError]


def read_source(source: Source, *, files: Path) -> SourceAnnotations:
    """The annotations of a source, whose files lie in a folder."""
    return SourceAnnotations(files, read_annotations(files, format=source.format), source.boxes)


def ingest(name: str, source: SourceAnnotations, settings: IngestSettings, *, folder: Path, workers: int) -> Ingested:
    """Decode the labelled images of a source, and write them into shards in `folder`, in constant memory.

    name: of the source, in messages. workers: threads. Raises DataError for boxes without a policy on how to read them.
    """
    annotations = resolve_boxes(name, source)
    boxes_of = _boxes_by_path(annotations)
    known, found = dict[tuple[str, Box | None], Found](), dict[tuple[str, Box | None], Found]()

    def read(path: str) -> _File:
        data = (source.root / path).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return _File(digest, _encode(data, [box for box in boxes_of[path] if (digest, box) not in known], settings))

    min_side_px = source.boxes.min_side_px if source.boxes else 0
    with ShardWriter(folder) as shards:
        store = _Store(shards, min_side_px)
        files = _in_order(read, list(boxes_of), workers)
        with_bar = tqdm(files, f"ingest {name}", len(boxes_of), unit="image", disable=None)
        for path, file in zip(boxes_of, with_bar, strict=True):
            for box in boxes_of[path]:
                key = file.sha256, box
                if key not in known:
                    known[key] = store.add(file.sha256, file.images[box], is_crop=box is not None)
                found[path, box] = known[key]
    return Ingested(
        annotations=tuple(annotations),
        found=found,
        images=tuple(store.images.values()),
        hashes=np.array(store.hashes, np.uint8).reshape(-1, NUM_ORIENTATIONS, NUM_BITS // 8),
        unclaimed=unclaimed_files(name, source.root, {annotation.path for annotation in annotations}),
    )


class _Store:
    """Writes each image whose pixels are new. images: by id, in the order of their first files; hashes: of each."""

    def __init__(self, shards: ShardWriter, min_side_px: int) -> None:
        self._shards, self._min_side_px = shards, min_side_px
        self.images = dict[str, IngestedImage]()
        self.hashes = list[np.ndarray]()

    def add(self, digest: str, image: EncodedImage | CorruptImageError, *, is_crop: bool) -> Found:
        """What comes of an image of a file with this digest."""
        if isinstance(image, CorruptImageError):
            return Found(digest, "", image.reason, str(image))
        if is_crop and min(image.width, image.height) < self._min_side_px:
            return Found(digest, "", "small_box", f"the crop's shorter side is below {self._min_side_px} pixels")
        if image.id not in self.images:
            file = f"{image.id}.{image.extension}"
            place = self._shards.add(file, image.data)
            self.images[image.id] = IngestedImage(image.id, file, image.width, image.height, *place, *image.quality)
            self.hashes.append(image.hashes)
        return Found(digest, image.id, "", "")


def _boxes_by_path(annotations: Sequence[Annotation]) -> dict[str, dict[Box | None, None]]:
    """Path -> the boxes of it that are labelled, None for the whole image, as an ordered set."""
    found = defaultdict[str, dict[Box | None, None]](dict)
    for annotation in annotations:
        if annotation.label and not annotation.reason:
            found[annotation.path][annotation.box] = None
    return found


def _encode(
    data: bytes, boxes: Sequence[Box | None], settings: IngestSettings
) -> Mapping[Box | None, EncodedImage | CorruptImageError]:
    """The image and crops of a file; for each of them the error if the file is corrupt."""
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
        return dict.fromkeys(boxes, error)


def _in_order(work: Callable[[_Key], _Value], keys: Sequence[_Key], workers: int) -> Iterator[_Value]:
    """The results in the order of the keys, by `workers` threads that run a bounded way ahead."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(keys), _QUEUED):
            yield from pool.map(work, keys[start : start + _QUEUED])
