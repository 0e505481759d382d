"""Images for curation of which a test plants what they have in common: features, hashes, keypoints, provenance keys."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from factories import curate_settings
from tandem.curation.curate import Curated, CurateInputs, curate
from tandem.curation.disputed import Disputed
from tandem.curation.duplicates.alignment import Keypoints, describe
from tandem.curation.leak_check import LeakReport, check_leakage
from tandem.curation.settings import CandidateSettings, CurateSettings, SimilarityThresholds, SplitFractions
from tandem.curation.summary import curate_summary
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.samples import Sample
from tandem.tables.stored import StoredImage, StoredImages, save_stored


def write_images(folder: Path, images: Mapping[str, bytes]) -> None:
    """What ingest and merge leave below `folder` for whoever reads pixels: a file of all images, and where they lie."""
    rows, offset = [], 0
    for id_, data in sorted(images.items()):
        rows.append(StoredImage(id_, "planted/images-00000.tar", offset, len(data), hashlib.sha256(data).hexdigest()))
        offset += len(data)
    shard = folder / "data/ingest/planted/images-00000.tar"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"".join(data for _, data in sorted(images.items())))
    save_stored(StoredImages.of(rows), folder / "data/merge/stored.csv")


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def with_capture(image: Image.Image, taken: str, *, camera: str = "EOS 6D", format: str = "JPEG") -> bytes:
    """A file as a camera writes it. taken: as EXIF has it, "2024:05:01 10:11:12"."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[_MODEL] = camera
    exif.get_ifd(_EXIF_IFD)[_DATE_TIME_ORIGINAL] = taken
    image.save(buffer, format, exif=exif)
    return buffer.getvalue()


_MODEL, _EXIF_IFD, _DATE_TIME_ORIGINAL = 0x0110, 0x8769, 0x9003
BLANK = describe(Image.new("L", (64, 64)))
CLASSES = ("car", "truck")
DIM = 64
SETTINGS = curate_settings(
    candidates=CandidateSettings(min_similarity=0.99, max_hash_distance=40, num_neighbors=4),
    min_correlation=0.95,
    same_stem=SimilarityThresholds(min_similarity=0.9, max_hash_distance=60),
    fractions=SplitFractions(train=0.6, val=0.2, test=0.2),
)
NONE = np.zeros((0, 2), dtype=np.int64)
NO_LEAKS = LeakReport(np.zeros(0), Disputed(NONE, np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0), 0))


def some_features(seed: int) -> np.ndarray:
    """A direction of its own: its cosine to another seed's is far below every threshold."""
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float32)


def some_hashes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 32), dtype=np.uint8)


def similar_to(features: np.ndarray, similarity: float, seed: int = 999) -> np.ndarray:
    """Features whose cosine to these is `similarity`."""
    unit = features / np.linalg.norm(features)
    away = some_features(seed)
    away -= (away @ unit) * unit
    return similarity * unit + np.sqrt(1 - similarity**2) * away / np.linalg.norm(away)


def some_thumbnail(seed: int) -> np.ndarray:
    """(16, 16) grays of its own."""
    return np.random.default_rng(seed).uniform(0, 255, (16, 16)).astype(np.float32)


def some_thumbnails(seeds: Iterable[int]) -> np.ndarray:
    """(n, 16, 16)."""
    return np.array([some_thumbnail(seed) for seed in seeds]).reshape(-1, 16, 16)


def smooth_image(seed: int) -> Image.Image:
    """A smooth image of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((80, 80), Image.Resampling.BICUBIC)


def textured_image(seed: int) -> Image.Image:
    """Blots of many sizes: an image with keypoints."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (160, 120), "gray")
    for _ in range(60):
        (x, y), (w, h) = rng.integers(-10, 150, 2), rng.integers(4, 40, 2)
        ImageDraw.Draw(image).ellipse([x, y, x + w, y + h], fill=tuple(rng.integers(0, 256, 3)))
    return image


@dataclass
class Planted:
    """Records with features and hashes."""

    records: list[ImageRecord] = field(default_factory=list)
    features: dict[str, np.ndarray] = field(default_factory=dict)
    hashes: dict[str, np.ndarray] = field(default_factory=dict)
    keypoints: dict[str, Keypoints] = field(default_factory=dict)
    thumbnails: dict[str, int] = field(default_factory=dict)  # seeds; others have one of their own

    def add(
        self,
        id_: str,
        label: str = "car",
        *,
        source: str = "snapshots",
        provenance_keys: Sequence[str] = (),
        side: int = 100,
        features: np.ndarray | None = None,
        hashes: np.ndarray | None = None,
    ) -> None:
        """An image that has nothing in common with any other but for what is given."""
        seed = len(self.records)
        origin = Origin(source, f"{label}/{id_}.jpg", label)
        self.records.append(ImageRecord(id_, label, f"{id_}.jpg", side, side, tuple(provenance_keys), (origin,)))
        self.features[id_] = some_features(seed) if features is None else features
        self.hashes[id_] = some_hashes(seed) if hashes is None else hashes

    def inputs(self, decisions: Sequence[Decision] = ()) -> CurateInputs:
        records = tuple(sorted(self.records, key=lambda record: record.id))
        features, hashes = (np.stack([of[record.id] for record in records]) for of in (self.features, self.hashes))
        stored = StoredImages.of(StoredImage(record.id, "a.tar", 0, 1, record.id) for record in records)
        return CurateInputs(Index.of(records), CLASSES, features, hashes, stored, Decisions(tuple(decisions)))

    def curate(self, settings: CurateSettings = SETTINGS, decisions: Sequence[Decision] = ()) -> Curated:
        inputs = self.inputs(decisions)
        ids = inputs.index.ids
        return curate(inputs, settings, keypoints_of=lambda row: self.keypoints.get(ids[row], BLANK), max_gb=0)

    def check(self, curated: Curated, settings: CurateSettings = SETTINGS, **changes: Any) -> LeakReport:
        """What the leakage check says of these; changes: other arguments of check_leakage."""
        inputs = self.inputs()
        given = {
            "features": inputs.features,
            "hashes": inputs.hashes,
            "linked": curated.links.rows,
            "rejected": curated.rejected.pairs.rows,
            "decisions": inputs.decisions,
            "thumbnails_of": lambda rows: some_thumbnails(
                self.thumbnails.get(inputs.index.ids[row], row) for row in rows
            ),
            "settings": settings,
        }
        return check_leakage(inputs.index, curated.samples.rows_by_split(), **(given | changes))

    def summary(self, settings: CurateSettings = SETTINGS, decisions: Sequence[Decision] = ()) -> dict:
        """What the metrics say, as of images without a similar one in another split and an idle Brain."""
        curated = self.curate(settings, decisions)
        return curate_summary(self.inputs(decisions), curated, settings, leaks=NO_LEAKS, brain={})


def strangers() -> Planted:
    """Forty images of each class that have nothing in common."""
    planted = Planted()
    for number in range(40):
        for label in CLASSES:
            planted.add(f"{label}{number:02}", label)
    return planted


def by_id(curated: Curated) -> dict[str, Sample]:
    samples = curated.samples
    columns = (samples.ids, samples.labels, samples.sources, samples.groups, samples.splits, samples.exclusion_reasons)
    return {row[0]: Sample(*map(str, row)) for row in zip(*columns, strict=True)}
