"""Claims of many sources to one index: exact copies collapsed, conflicts set aside.

What is left out is returned with its reason, never skipped in silence.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.datasets import ingest
from tandem.datasets.examples import Example, SourceItems, collect_examples
from tandem.datasets.formats import registry
from tandem.datasets.ingest import IngestResult, StoredImage
from tandem.datasets.labels import LabelMap
from tandem.datasets.settings import MergeSettings
from tandem.errors import CorruptImageError, DataError
from tandem.files import remove_others, write_json
from tandem.sources.settings import Source
from tandem.tables.index import Excluded, ImageRecord, Index, Origin, save_excluded, save_index

CORRUPT_REASONS = ("empty", "not_an_image", "too_large", "too_small", "truncated")


@dataclass(frozen=True)
class Merged:
    """hashes: (N, 8, 32) uint8, row i of record i. num_files: files opened.

    num_byte_copies: files whose bytes an earlier file has. num_pixel_copies: images of other bytes
    but with the pixels of an earlier one.
    """

    class_names: tuple[str, ...]
    index: Index
    hashes: np.ndarray
    excluded: tuple[Excluded, ...]
    num_files: int
    num_byte_duplicates: int
    num_pixel_duplicates: int


def merge(
    offered: Mapping[str, SourceItems],
    labels: LabelMap,
    settings: MergeSettings,
    *,
    images_dir: Path,
    workers: int,
) -> Merged:
    """Write the images to `images_dir`, conflicting ones too; return the index and all that was left out.

    Raises UnknownLabel for labels without a class, DataError when more than `max_corrupt_fraction` of the
    files are broken or no image is left.
    """
    images_dir.mkdir(parents=True, exist_ok=True)
    found, dropped = collect_examples(offered, labels)
    roots = {name: offer.root for name, offer in offered.items()}
    seen = ingest.ingest(found, roots, images_dir=images_dir, settings=settings, workers=workers)
    good, broken = _sort_out(found, seen)
    _require_few_corrupt(broken, num_files=len(seen.digests), max_fraction=settings.max_corrupt_fraction)
    records, conflicts = _collapse(good)
    left_out = [*dropped, *broken, *conflicts]
    if not records:
        reasons = _reasons(left_out) or "none was found"
        raise DataError(f"no image is left ({reasons}); look at labels and at the sources' folders")
    remove_others(images_dir, {view.id for _, view in good})  # crops were written before they were found too small
    hashes = {view.id: view.hashes for _, view in good}
    return Merged(
        class_names=labels.class_names,
        index=Index(tuple(records)),
        hashes=np.stack([hashes[record.id] for record in records]),
        excluded=tuple(sorted(left_out, key=lambda drop: (drop.source, drop.path, drop.label))),
        num_files=len(seen.digests),
        num_byte_duplicates=seen.num_byte_duplicates,
        num_pixel_duplicates=seen.num_pixel_duplicates,
    )


def read_sources(sources: Mapping[str, Source], *, downloads: Path) -> dict[str, SourceItems]:
    """What each source holds, from its folder below `downloads`."""
    return {
        name: SourceItems(
            downloads / name, registry.read_annotations(downloads / name, format=source.format), source.boxes
        )
        for name, source in sources.items()
    }


def save_merged(merged: Merged, folder: Path) -> None:
    """Write index.csv, excluded.csv, classes.json (the class names in order) and hashes.npy into an existing folder."""
    save_index(merged.index, folder / "index.csv")
    save_excluded(merged.excluded, folder / "excluded.csv")
    write_json(folder / "classes.json", list(merged.class_names))
    np.save(folder / "hashes.npy", merged.hashes)


def merge_summary(merged: Merged) -> dict[str, object]:
    """Counts for the metrics: records by class and source, copies, and what was dropped by reason."""
    records = merged.index.records
    return {
        "images": len(records),
        "files": merged.num_files,
        "byte_duplicates": merged.num_byte_duplicates,
        "pixel_duplicates": merged.num_pixel_duplicates,
        "classes": dict(sorted(Counter(record.label for record in records).items())),
        "sources": dict(sorted(Counter(record.source for record in records).items())),
        "excluded": dict(sorted(Counter(drop.reason for drop in merged.excluded).items())),
    }


def _sort_out(found: Iterable[Example], seen: IngestResult) -> tuple[list[tuple[Example, StoredImage]], list[Excluded]]:
    good: list[tuple[Example, StoredImage]] = []
    dropped: list[Excluded] = []
    for claim in found:
        view = seen.of(claim)
        if isinstance(view, CorruptImageError):
            dropped.append(_excluded(claim, view.reason, str(view)))
        elif min(view.width, view.height) < claim.min_side_px:
            dropped.append(
                _excluded(claim, "small_box", f"the crop's shorter side is below {claim.min_side_px} pixels")
            )
        else:
            good.append((claim, view))
    return good, dropped


def _require_few_corrupt(broken: Sequence[Excluded], *, num_files: int, max_fraction: float) -> None:
    files = {(drop.source, drop.path): drop for drop in broken if drop.reason in CORRUPT_REASONS}
    if len(files) > max_fraction * num_files:
        first = "\n  ".join(f"{d.source}: {d.path}: {d.reason} ({d.detail})" for d in list(files.values())[:5])
        raise DataError(
            f"{len(files)} of {num_files} files are broken, more than merge.max_corrupt_fraction = {max_fraction} allows: "
            f"{_reasons(files.values())}. The first ones:\n  {first}\n"
            "look at these files; mend the source, or raise merge.max_corrupt_fraction"
        )


def _collapse(good: Iterable[tuple[Example, StoredImage]]) -> tuple[list[ImageRecord], list[Excluded]]:
    """One record for all claims on the same pixels; claims of several classes are a conflict, which nobody guesses."""
    same: dict[str, list[tuple[Example, StoredImage]]] = defaultdict(list)
    for claim, view in good:
        same[view.id].append((claim, view))
    records: list[ImageRecord] = []
    conflicts: list[Excluded] = []
    for _, group in sorted(same.items()):
        class_names = sorted({claim.class_name for claim, _ in group})
        if len(class_names) > 1:
            detail = f"the same image ({group[0][1].file}) is labelled {' and '.join(class_names)}"
            conflicts += [_excluded(claim, "conflict", detail) for claim, _ in group]
        else:
            records.append(_record(group))
    return records, conflicts


def _record(group: Sequence[tuple[Example, StoredImage]]) -> ImageRecord:
    claim, view = group[0]
    return ImageRecord(
        id=view.id,
        label=claim.class_name,
        file=view.file,
        width=view.width,
        height=view.height,
        provenance_keys=tuple(sorted({hint for claim, _ in group for hint in claim.provenance_keys})),
        origins=tuple(dict.fromkeys(Origin(claim.source, claim.path, claim.label) for claim, _ in group)),
    )


def _reasons(dropped: Iterable[Excluded]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(drop.reason for drop in dropped).most_common())


def _excluded(claim: Example, reason: str, detail: str) -> Excluded:
    return Excluded(claim.source, claim.path, claim.label, reason, detail)
