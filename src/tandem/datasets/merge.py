"""Annotations of many sources to one index: exact duplicates collapsed, conflicts excluded.

What is excluded is returned with its reason, never skipped in silence.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.datasets.examples import Example, SourceAnnotations, collect_examples, count_labels
from tandem.datasets.formats.registry import read_annotations
from tandem.datasets.ingest import StoredImage, ingest
from tandem.datasets.labels import JoinedLabel, LabelMap
from tandem.datasets.settings import MergeSettings
from tandem.datasets.unclaimed import NESTED_ARCHIVE, UNLISTED, UNREAD_FORMAT, others_in_words, unclaimed_files
from tandem.errors import CorruptImageError, DataError
from tandem.files import remove_others, write_json
from tandem.sources.settings import Source
from tandem.tables.index import Excluded, ImageRecord, Index, Origin, save_excluded, save_index

CORRUPT_REASONS = ("empty", "lfs_pointer", "not_an_image", "too_large", "too_small", "truncated")

_ExampleImage = tuple[Example, StoredImage]


@dataclass(frozen=True)
class Merged:
    """hashes: (N, 8, 32) uint8, in the order of the index. num_files: that were read.

    num_byte_duplicates: files whose bytes an earlier file has. num_pixel_duplicates: images of other bytes but with the
    pixels of an earlier one. others: number of files that are neither images nor archives, by suffix. joined: labels
    that are of their class by folding alone.
    """

    class_names: tuple[str, ...]
    index: Index
    hashes: np.ndarray
    excluded: tuple[Excluded, ...]
    num_files: int
    num_byte_duplicates: int
    num_pixel_duplicates: int
    others: Counter[str]
    joined: tuple[JoinedLabel, ...] = ()


def merge(
    sources: Mapping[str, SourceAnnotations],
    labels: LabelMap,
    settings: MergeSettings,
    *,
    images_dir: Path,
    workers: int,
) -> Merged:
    """Write the images to `images_dir`, conflicting ones too; return the index and all that is excluded.

    Every file of a source is in an origin of the index, in what is excluded, or counted in `others`.

    Raises UnknownLabelError for labels without a class, DataError when more than `max_corrupt_fraction` of the files
    are corrupt or no image is left.
    """
    images_dir.mkdir(parents=True, exist_ok=True)
    examples, excluded_by_label = collect_examples(sources, labels)
    roots = {name: source.root for name, source in sources.items()}
    ingested = ingest(examples, roots, images_dir=images_dir, settings=settings, workers=workers)
    usable, unusable = _split_usable(examples, ingested.images)
    _require_few_corrupt(unusable, num_files=ingested.num_files, max_fraction=settings.max_corrupt_fraction)
    records, conflicts = _collapse(usable)
    beside = [unclaimed_files(name, root, _claimed(sources[name])) for name, root in roots.items()]
    excluded = [*excluded_by_label, *unusable, *conflicts, *(each for part in beside for each in part.excluded)]
    if not records:
        raise DataError(_nothing_left(excluded))
    hashes = {image.id: image.hashes for _, image in usable}
    remove_others(images_dir, hashes)  # crops were written before they were found too small
    return Merged(
        class_names=labels.class_names,
        index=Index.of(records),
        hashes=np.stack([hashes[record.id] for record in records]),
        excluded=tuple(sorted(excluded, key=lambda each: (each.source, each.path, each.label))),
        num_files=ingested.num_files,
        num_byte_duplicates=ingested.num_byte_duplicates,
        num_pixel_duplicates=ingested.num_pixel_duplicates,
        others=sum((part.others for part in beside), Counter[str]()),
        joined=tuple(labels.joined(count_labels(sources))),
    )


def read_sources(sources: Mapping[str, Source], *, downloads: Path) -> dict[str, SourceAnnotations]:
    """The annotations of each source, from its folder below `downloads`."""
    return {
        name: SourceAnnotations(
            downloads / name, read_annotations(downloads / name, format=source.format), source.boxes
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
    """Counts for the metrics: images by class and source, exact duplicates, and what is excluded by reason."""
    index = merged.index
    joined = [{**each._asdict(), "class_name": each.class_name or None} for each in merged.joined]
    return {
        "images": len(index),
        "files": merged.num_files,
        "byte_duplicates": merged.num_byte_duplicates,
        "pixel_duplicates": merged.num_pixel_duplicates,
        "classes": dict(sorted(Counter(index.labels.tolist()).items())),
        "sources": dict(sorted(Counter(index.sources.tolist()).items())),
        "excluded": dict(sorted(Counter(each.reason for each in merged.excluded).items())),
        **({"joined_by_folding": joined} if joined else {}),
    }


def merged_in_words(merged: Merged) -> str:
    """How much was read, and what lies beside it that is not used."""
    nested = (each.detail.partition(";")[0] for each in merged.excluded if each.reason == NESTED_ARCHIVE)
    unlisted = Counter(each.reason for each in merged.excluded if each.reason in (UNLISTED, UNREAD_FORMAT))
    images = (f"{count} {reason.replace('_', ' ')} images" for reason, count in sorted(unlisted.items()))
    counts = f"{merged.num_files} files, {len(merged.index)} different images"
    joined = [f"{each.label!r} of {each.source} as {each.class_name or 'ignored'}" for each in merged.joined]
    more = f" and {len(joined) - 5} more" if len(joined) > 5 else ""
    folded = f"labels joined without case and accents: {', '.join(joined[:5])}{more}" if joined else ""
    return "; ".join(filter(None, (counts, others_in_words(merged.others), *images, *nested, folded)))


def _claimed(source: SourceAnnotations) -> set[str]:
    return {annotation.path for annotation in source.annotations}


def _nothing_left(excluded: Sequence[Excluded]) -> str:
    """The message that says why, with the first image of each reason."""
    first = {each.reason: each for each in reversed(excluded)}
    lines = [
        f"\n  {each.reason}: {each.source}: {each.path}{f' ({each.detail})' if each.detail else ''}"
        for reason, _ in Counter(each.reason for each in excluded).most_common()
        for each in [first[reason]]
    ]
    reasons = _count_reasons(excluded) or "none was found"
    shown = f". The first of each:{''.join(lines)}\nlook" if lines else "; look"
    return f"no image is left ({reasons}){shown} at labels and at the sources' folders"


def _split_usable(
    examples: Iterable[Example], images: Iterable[StoredImage | CorruptImageError]
) -> tuple[list[_ExampleImage], list[Excluded]]:
    """The examples with their images, without those whose file is corrupt or whose crop is too small."""
    usable: list[_ExampleImage] = []
    excluded: list[Excluded] = []
    for example, image in zip(examples, images, strict=True):
        if isinstance(image, CorruptImageError):
            excluded.append(_excluded(example, image.reason, str(image)))
        elif min(image.width, image.height) < example.min_side_px:
            detail = f"the crop's shorter side is below {example.min_side_px} pixels"
            excluded.append(_excluded(example, "small_box", detail))
        else:
            usable.append((example, image))
    return usable, excluded


def _require_few_corrupt(excluded: Iterable[Excluded], *, num_files: int, max_fraction: float) -> None:
    corrupt = {(each.source, each.path): each for each in excluded if each.reason in CORRUPT_REASONS}
    if len(corrupt) > max_fraction * num_files:
        first = "\n  ".join(f"{e.source}: {e.path}: {e.reason} ({e.detail})" for e in list(corrupt.values())[:5])
        raise DataError(
            f"{len(corrupt)} of {num_files} files are corrupt, more than merge.max_corrupt_fraction = {max_fraction} "
            f"allows: {_count_reasons(corrupt.values())}. The first ones:\n  {first}\n"
            "look at these files; mend the source, or raise merge.max_corrupt_fraction"
        )


def _collapse(usable: Iterable[_ExampleImage]) -> tuple[list[ImageRecord], list[Excluded]]:
    """One record for all examples of the same pixels; where their classes differ, all are excluded as a conflict."""
    same_pixels: dict[str, list[_ExampleImage]] = defaultdict(list)
    for example, image in usable:
        same_pixels[image.id].append((example, image))
    records: list[ImageRecord] = []
    conflicts: list[Excluded] = []
    for _, group in sorted(same_pixels.items()):
        class_names = sorted({example.class_name for example, _ in group})
        if len(class_names) > 1:
            detail = f"the same image ({group[0][1].file}) is labelled {' and '.join(class_names)}"
            conflicts += [_excluded(example, "conflict", detail) for example, _ in group]
        else:
            records.append(_record(group))
    return records, conflicts


def _record(group: Sequence[_ExampleImage]) -> ImageRecord:
    example, image = group[0]
    return ImageRecord(
        id=image.id,
        label=example.class_name,
        file=image.file,
        width=image.width,
        height=image.height,
        provenance_keys=tuple(sorted({key for example, _ in group for key in example.provenance_keys})),
        origins=tuple(dict.fromkeys(Origin(example.source, example.path, example.label) for example, _ in group)),
    )


def _count_reasons(excluded: Iterable[Excluded]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(each.reason for each in excluded).most_common())


def _excluded(example: Example, reason: str, detail: str) -> Excluded:
    return Excluded(example.source, example.path, example.label, reason, detail)
