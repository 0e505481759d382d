"""The files of one source to stored images: each file decoded and checked once, each image stored once.

No label map is needed for it, so that labels change without an image being read.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from tandem.cluster.agreement import HERE, Agreement
from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor
from tandem.datasets.decoding import Decoding, EncodedImages, LabelledFile
from tandem.datasets.earlier import EarlierImages
from tandem.datasets.examples import SourceAnnotations, resolve_boxes
from tandem.datasets.formats.annotations import MISSING_LABEL, Annotation, Box
from tandem.datasets.formats.registry import read_annotations
from tandem.datasets.ingested import Found, Ingested, IngestedImage
from tandem.datasets.settings import IngestSettings
from tandem.datasets.unclaimed import unclaimed_files
from tandem.errors import CorruptImageError
from tandem.images.encoding import EncodedImage
from tandem.images.exif import Capture
from tandem.images.hashing import NUM_BITS, NUM_ORIENTATIONS
from tandem.shards import ShardWriter
from tandem.sources.settings import Source


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
    executor: Executor = LOCAL,
) -> Ingested:
    """Decode the labelled images of a source, and write them into shards in `folder`, a chunk of them in memory.

    name: of the source, in messages. workers: threads, of each process. earlier: what need not be decoded again.
    executor: where images are decoded; what is written is the same. Raises DataError for boxes without a
    policy on how to read them.
    """
    annotations = resolve_boxes(name, source)
    files, found = _labelled_files(annotations), dict[tuple[str, Box | None], Found]()
    decoding = Decoding(name, source.root, settings, workers, earlier or EarlierImages())
    agreed = Agreement()
    for where, facts in ((HERE, decoding.facts()), ("the nodes", executor.facts(decoding))):
        agreed.require(where, facts)  # earlier images, and those of other sources, are of this machine
    decoded = executor.compute(decoding).rows(files)
    with closing(decoded), ShardWriter(folder, stem="images") as shards:
        store = _Store(shards, source.boxes.min_side_px if source.boxes else 0)
        for file, (digest, images, capture) in zip(files, decoded, strict=True):
            store.add(digest, images, capture)
            found |= {(file.path, box): store.known[digest, box] for box in file.boxes}
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

    def add(self, digest: str, images: EncodedImages, capture: Capture) -> None:
        """The images of a file with this digest, and what it states of its capture."""
        for box, image in images.items():
            found = self._add(digest, image, is_crop=box is not None)
            self.known[digest, box and Box(*box)] = found._replace(**capture._asdict()) if found.id else found

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


def _labelled_files(annotations: Sequence[Annotation]) -> list[LabelledFile]:
    """Each file that has a label, with the boxes of it that are labelled, each once."""
    found = defaultdict[str, dict[Box | None, None]](dict)
    for annotation in annotations:
        if annotation.label and annotation.reason in ("", MISSING_LABEL):  # which a label map may name later
            found[annotation.path][annotation.box] = None
    return [LabelledFile(path, tuple(boxes)) for path, boxes in found.items()]
