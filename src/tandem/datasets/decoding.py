"""Files to encoded images: each file read, decoded and checked, here or on the nodes of a cluster."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from tandem.cache.recipe import code_digest
from tandem.cluster.work import Facts, Share, Started, Work
from tandem.datasets.earlier import DECODING_LIBRARIES, EarlierImages
from tandem.datasets.formats.annotations import Box
from tandem.datasets.settings import IngestSettings
from tandem.errors import CorruptImageError
from tandem.files import sha256
from tandem.images.encoding import EncodedImage, encode_images
from tandem.images.exif import Capture, read_capture
from tandem.images.signatures import bytes_to_decode
from tandem.libraries import versions_of

_MIN_CHUNK, _CHUNK_OF_WORKER = 64, 8  # files that are in memory at once
_BATCH_FILES, _BATCH_BYTES = (
    256,
    2**26,
)  # of what a node decodes at once, at most; one larger file is a batch of its own
_CODE = ("datasets/decoding.py", "images", "errors.py")

# by left, top, width and height, as of a Box; None for the whole image
EncodedImages = Mapping[tuple[float, float, float, float] | None, EncodedImage | CorruptImageError]


class LabelledFile(NamedTuple):
    """A file below the source's folder. boxes: those of it that are labelled, None for the whole image."""

    path: str
    boxes: tuple[Box | None, ...]


class DecodedFile(NamedTuple):
    """digest: sha256 of the file. images: of its boxes; without those that an earlier file of the same bytes had.

    capture: what its EXIF data state; empty where no image is new.
    """

    digest: str
    images: EncodedImages
    capture: Capture = Capture()


@dataclass(frozen=True)
class Decoding(Work[LabelledFile, DecodedFile]):
    """name: of the source. root: its folder. threads: that decode. earlier: what need not be decoded again."""

    name: str
    root: Path
    settings: IngestSettings
    threads: int
    earlier: EarlierImages = field(default_factory=EarlierImages)

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return f"ingest {self.name}"

    @property
    def share(self) -> Share:
        """Its threads: more processes on a machine that has more cores."""
        return Share(self.threads)

    def facts(self) -> Facts:
        """Code and libraries; what they decode does not depend on the processor."""
        return {"code": code_digest(_CODE), **versions_of(DECODING_LIBRARIES)}

    def start(self) -> Started[LabelledFile, DecodedFile]:
        """There is nothing to load."""
        return Started({}, self._decode)

    def batches(self, items: Sequence[LabelledFile], num_batches: int) -> Iterator[Sequence[LabelledFile]]:
        """By number of files and by their bytes."""
        max_files = min(_BATCH_FILES, -(-len(items) // num_batches))
        batch, num_bytes = list[LabelledFile](), 0
        for item in items:
            size = (self.root / item.path).stat().st_size
            if batch and (len(batch) >= max_files or num_bytes + size > _BATCH_BYTES):
                yield batch
                batch, num_bytes = [], 0
            batch.append(item)
            num_bytes += size
        yield batch

    def _decode(self, files: Sequence[LabelledFile]) -> Iterator[DecodedFile]:
        """A chunk of them in memory; a box of the same bytes once."""
        encode, known = partial(_encode, settings=self.settings, earlier=self.earlier), set[tuple[str, Box | None]]()
        size = max(_MIN_CHUNK, _CHUNK_OF_WORKER * self.threads)
        bar = tqdm(total=len(files), desc=self.title, unit="image", disable=None)
        with ThreadPoolExecutor(self.threads) as pool, bar:
            for chunk in (files[start : start + size] for start in range(0, len(files), size)):
                read = list(pool.map(_read, (self.root / file.path for file in chunk)))
                new = _new_boxes(chunk, [digest for digest, _ in read], known)
                data_of = dict(read)
                encoded = pool.map(encode, new, (data_of[digest] for digest in new), new.values())
                images = dict(zip(new, encoded, strict=True))
                captures = dict(zip(new, pool.map(_capture, (data_of[digest] for digest in new)), strict=True))
                for file, (digest, _) in zip(chunk, read, strict=True):
                    own = [box for box in file.boxes if (digest, box) not in known]
                    known.update((digest, box) for box in own)
                    yield DecodedFile(
                        digest, {box: images[digest][box] for box in own}, captures.get(digest, Capture())
                    )
                bar.update(len(chunk))


def _new_boxes(
    files: Sequence[LabelledFile], digests: Sequence[str], known: set[tuple[str, Box | None]]
) -> dict[str, list[Box | None]]:
    """Digest -> the boxes of all files that hold its bytes, as far as they are not known."""
    found = dict[str, dict[Box | None, None]]()
    for file, digest in zip(files, digests, strict=True):
        boxes = [box for box in file.boxes if (digest, box) not in known]
        if boxes:
            found.setdefault(digest, {}).update(dict.fromkeys(boxes))
    return {digest: list(boxes) for digest, boxes in found.items()}


def _read(path: Path) -> tuple[str, bytes | CorruptImageError]:
    """Digest of a file, and what of it is decoded, of a video with an image's name its head; or why nothing is."""
    try:
        data = bytes_to_decode(path)
    except CorruptImageError as error:
        return sha256(path), error
    is_whole = len(data) == path.stat().st_size
    return hashlib.sha256(data).hexdigest() if is_whole else sha256(path), data


def _capture(data: bytes | CorruptImageError) -> Capture:
    return Capture() if isinstance(data, CorruptImageError) else read_capture(data)


def _encode(
    digest: str,
    data: bytes | CorruptImageError,
    boxes: Iterable[Box | None],
    *,
    settings: IngestSettings,
    earlier: EarlierImages,
) -> EncodedImages:
    """The image and crops of a file, in order; for each of them the error if the file is corrupt."""
    known = {box: earlier.get(digest, box) for box in boxes}
    new = _encode_new(data, [box for box, image in known.items() if image is None], settings)
    return {box: new[box] if image is None else image for box, image in known.items()}


def _encode_new(
    data: bytes | CorruptImageError, boxes: Sequence[Box | None], settings: IngestSettings
) -> EncodedImages:
    if not boxes:
        return {}
    if isinstance(data, CorruptImageError):
        return dict.fromkeys(boxes, data)
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
