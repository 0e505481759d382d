"""What was found in one source: its annotations, what its files turned out to be, and the images that are stored."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.unclaimed import Unclaimed
from tandem.errors import DataError
from tandem.files import load_array, read_csv, read_json, reading, write_array, write_csv, write_json
from tandem.images.hashing import NUM_BITS, NUM_ORIENTATIONS
from tandem.tables.index import load_excluded, save_excluded


class Found(NamedTuple):
    """What one file, or one box of it, turned out to be. sha256: of the file.

    id: of the stored image, "" where there is none, for a reason in one word and a detail for people. captured_at,
    camera: see tandem.images.exif; of the file, since others may hold the same pixels without them.
    """

    sha256: str
    id: str
    reason: str
    detail: str
    captured_at: str = ""
    camera: str = ""


class IngestedImage(NamedTuple):
    """One stored image, a line of images.csv.

    id: see tandem.images.encoding. file: its name. width, height: px of the original, upright. shard, offset,
    num_bytes: where its bytes lie in the source's folder. sha256: of these. blur, brightness, entropy: see
    tandem.images.quality.
    """

    id: str
    file: str
    width: int
    height: int
    shard: str
    offset: int
    num_bytes: int
    sha256: str
    blur: float
    brightness: float
    entropy: float


@dataclass(frozen=True, eq=False)
class Ingested:
    """One source without its files.

    annotations: a box is a crop, margin included. found: of each labelled (path, box), box None for the whole image.
    images: each once, in the order of their first files. hashes: (N, 8, 32) uint8, of these. unclaimed: files that no
    annotation names.
    """

    annotations: tuple[Annotation, ...]
    found: Mapping[tuple[str, Box | None], Found]
    images: tuple[IngestedImage, ...]
    hashes: np.ndarray
    unclaimed: Unclaimed

    def __post_init__(self) -> None:
        if self.hashes.shape != (len(self.images), NUM_ORIENTATIONS, NUM_BITS // 8) or self.hashes.dtype != np.uint8:
            raise DataError(f"{len(self.images)} images need as many hashes, not an array of {self.hashes.shape}")
        ids = {image.id for image in self.images}
        for (path, _), found in self.found.items():
            if bool(found.id) == bool(found.reason) or (found.id and found.id not in ids):
                raise DataError(f"{path} needs a stored image or the reason why there is none")
        for each in self.annotations:
            if each.label and not each.reason and (each.path, each.box) not in self.found:
                raise DataError(f"{each.path} is labelled {each.label!r}, and was not looked at")


_ANNOTATION_COLUMNS = ("path", "label", "box", "reason", "detail")
_FOUND_COLUMNS = ("path", "box", *Found._fields)


def save_ingested(ingested: Ingested, folder: Path) -> None:
    """Write annotations.csv, found.csv, images.csv, hashes.npy, unclaimed.csv and others.json into a folder."""
    annotations = [{**vars(each), "box": _box_text(each.box)} for each in ingested.annotations]
    write_csv(folder / "annotations.csv", annotations, columns=_ANNOTATION_COLUMNS)
    found = [{"path": path, "box": _box_text(box), **found._asdict()} for (path, box), found in ingested.found.items()]
    write_csv(folder / "found.csv", found, columns=_FOUND_COLUMNS)
    write_csv(folder / "images.csv", [each._asdict() for each in ingested.images], columns=IngestedImage._fields)
    write_array(folder / "hashes.npy", ingested.hashes)
    save_excluded(ingested.unclaimed.excluded, folder / "unclaimed.csv")
    write_json(folder / "others.json", ingested.unclaimed.others)


def load_ingested(folder: Path) -> Ingested:
    """Read what save_ingested wrote. Raises DamagedFileError."""
    annotations, found = folder / "annotations.csv", folder / "found.csv"
    others = folder / "others.json"
    annotation_rows = read_csv(annotations, columns=_ANNOTATION_COLUMNS)
    found_rows = read_csv(found, columns=_FOUND_COLUMNS)
    counts = read_json(others)
    hashes = load_array(folder / "hashes.npy", ndim=3)
    excluded = load_excluded(folder / "unclaimed.csv")
    with reading(annotations):
        read_annotations = tuple(map(_annotation, annotation_rows))
    with reading(found):
        read_found = {
            (row["path"], _box_of(row["box"])): Found(*(row[name] for name in Found._fields)) for row in found_rows
        }
    images = load_ingested_images(folder)
    with reading(others):
        unclaimed = Unclaimed(tuple(excluded), Counter({str(key): int(value) for key, value in counts.items()}))
    with reading(found):
        return Ingested(read_annotations, read_found, images, hashes, unclaimed)


def load_ingested_images(folder: Path) -> tuple[IngestedImage, ...]:
    """The images alone. Raises DamagedFileError."""
    rows = read_csv(folder / "images.csv", columns=IngestedImage._fields)
    with reading(folder / "images.csv"):
        return tuple(map(_image, rows))


def ingested_in_words(ingested: Ingested) -> str:
    """How much was looked at, and what came of it."""
    num_files = len({path for path, _ in ingested.found})
    reasons = Counter(each.reason for each in ingested.found.values() if each.reason)
    unusable = [f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(reasons.items())]
    return ", ".join([f"{num_files} files, {len(ingested.images)} different images", *unusable])


def quality_by_id(images: Iterable[IngestedImage]) -> dict[str, dict[str, float]]:
    """Name of a measure -> id of an image -> its value. The measures of images.quality, and of its sides."""
    measures = dict[str, dict[str, float]]((name, {}) for name in ("blur", "brightness", "entropy", "aspect_ratio"))
    for image in images:
        aspect_ratio = max(image.width, image.height) / min(image.width, image.height)
        values = image.blur, image.brightness, image.entropy, aspect_ratio
        for of_measure, value in zip(measures.values(), values, strict=True):
            of_measure.setdefault(image.id, value)
    return measures


def _annotation(row: Mapping[str, str]) -> Annotation:
    return Annotation(row["path"], row["label"], _box_of(row["box"]), row["reason"], row["detail"])


def _image(row: Mapping[str, str]) -> IngestedImage:
    return IngestedImage(
        id=row["id"],
        file=row["file"],
        width=int(row["width"]),
        height=int(row["height"]),
        shard=row["shard"],
        offset=int(row["offset"]),
        num_bytes=int(row["num_bytes"]),
        sha256=row["sha256"],
        blur=float(row["blur"]),
        brightness=float(row["brightness"]),
        entropy=float(row["entropy"]),
    )


def _box_text(box: Box | None) -> str:
    """With all digits: a box read again is the same."""
    return json.dumps(box) if box else ""


def _box_of(text: str) -> Box | None:
    return Box(*map(float, json.loads(text))) if text else None
