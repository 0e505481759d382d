"""What was found in many sources to one index: exact duplicates collapsed, conflicts excluded. No image is opened.

What is excluded is returned with its reason, never skipped in silence.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandem.datasets.examples import Example, collect_examples, count_labels, require_few_bad
from tandem.datasets.filenames import name_of_shot
from tandem.datasets.formats.annotations import BAD_ANNOTATION
from tandem.datasets.ingested import Found, Ingested, IngestedImage
from tandem.datasets.labels import JoinedLabel, LabelMap
from tandem.datasets.settings import MergeSettings
from tandem.datasets.unclaimed import NESTED_ARCHIVE, UNLISTED, UNREAD_FORMAT, others_in_words
from tandem.errors import DataError
from tandem.files import write_array, write_json
from tandem.tables.captures import capture_key
from tandem.tables.index import Excluded, ImageRecord, Index, Origin, save_excluded, save_index
from tandem.tables.stored import StoredImage, StoredImages, save_stored

CORRUPT_REASONS = ("empty", "lfs_pointer", "not_an_image", "truncated")
# whole images, which a parameter excludes: they count as files, not against merge.max_corrupt_fraction
SIZE_REASONS = {"too_large": "ingest.max_pixels", "too_small": "ingest.min_side_px"}


class _ExampleImage(NamedTuple):
    """An example, its file, and its image as it is stored in the example's source. hashes: (8, 32) uint8."""

    example: Example
    found: Found
    image: IngestedImage
    hashes: np.ndarray


@dataclass(frozen=True)
class Merged:
    """stored: where the images lie. hashes: (N, 8, 32) uint8. Both in the order of the index. num_files: with a class.

    num_byte_duplicates: files whose bytes an earlier file has. num_pixel_duplicates: images of other bytes but with the
    pixels of an earlier one. others: number of files that are neither images nor archives, by suffix. joined: labels
    that are of their class by folding alone.
    """

    class_names: tuple[str, ...]
    index: Index
    stored: StoredImages
    hashes: np.ndarray
    excluded: tuple[Excluded, ...]
    num_files: int
    num_byte_duplicates: int
    num_pixel_duplicates: int
    others: Counter[str]
    joined: tuple[JoinedLabel, ...] = ()


def merge(sources: Mapping[str, Ingested], labels: LabelMap, settings: MergeSettings) -> Merged:
    """The index of all images with a class, and all that is excluded.

    Every file of a source is in an origin of the index, in what is excluded, or counted in `others`.

    Raises UnknownLabelError for labels without a class, DataError when more than `max_corrupt_fraction` of the files
    are corrupt or of a source's annotations cannot be used, or no image is left.
    """
    annotations = {name: source.annotations for name, source in sources.items()}
    require_few_bad(annotations, max_fraction=settings.max_corrupt_fraction)
    examples, excluded_by_label = collect_examples(annotations, labels)
    found = [sources[each.source].found[each.path, each.box] for each in examples]
    usable, unusable = _split_usable(examples, found, sources)
    num_files = len({(each.source, each.path) for each in examples})
    _require_few_corrupt(unusable, num_files=num_files, max_fraction=settings.max_corrupt_fraction)
    groups, conflicts = _collapse(usable)
    beside = [source.unclaimed for source in sources.values()]
    excluded = [*excluded_by_label, *unusable, *conflicts, *(each for part in beside for each in part.excluded)]
    if not groups:
        raise DataError(_nothing_left(excluded))
    num_contents = len({(each.sha256, example.box) for each, example in zip(found, examples, strict=True) if each.id})
    return Merged(
        class_names=labels.class_names,
        index=Index.of(map(_record, groups)),
        stored=StoredImages.of(_stored(group[0]) for group in groups),
        hashes=np.stack([group[0].hashes for group in groups]),
        excluded=tuple(sorted(excluded, key=lambda each: (each.source, each.path, each.label))),
        num_files=num_files,
        num_byte_duplicates=num_files - len({each.sha256 for each in found}),
        num_pixel_duplicates=num_contents - len({each.id for each in found if each.id}),
        others=sum((part.others for part in beside), Counter[str]()),
        joined=tuple(labels.joined(count_labels(annotations))),
    )


def save_merged(merged: Merged, folder: Path) -> None:
    """Write index.csv, stored.csv, excluded.csv, classes.json (the class names in order) and hashes.npy to a folder."""
    save_index(merged.index, folder / "index.csv")
    save_stored(merged.stored, folder / "stored.csv")
    save_excluded(merged.excluded, folder / "excluded.csv")
    write_json(folder / "classes.json", list(merged.class_names))
    write_array(folder / "hashes.npy", merged.hashes)


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
    sizes = Counter(
        reason for *_, reason in {(e.source, e.path, e.reason) for e in merged.excluded} if reason in SIZE_REASONS
    )
    out = (
        f"{count} {reason.replace('_', ' ')} images ({SIZE_REASONS[reason]})" for reason, count in sorted(sizes.items())
    )
    num_bad = sum(each.reason == BAD_ANNOTATION for each in merged.excluded)
    bad = f"{num_bad} annotation{'s' if num_bad > 1 else ''} that cannot be used" if num_bad else ""
    images = (f"{count} {reason.replace('_', ' ')} images" for reason, count in sorted(unlisted.items()))
    counts = f"{merged.num_files} files, {len(merged.index)} different images"
    joined = [f"{each.label!r} of {each.source} as {each.class_name or 'ignored'}" for each in merged.joined]
    more = f" and {len(joined) - 5} more" if len(joined) > 5 else ""
    folded = f"labels joined without case and accents: {', '.join(joined[:5])}{more}" if joined else ""
    return "; ".join(filter(None, (counts, others_in_words(merged.others), bad, *out, *images, *nested, folded)))


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
    examples: Iterable[Example], found: Iterable[Found], sources: Mapping[str, Ingested]
) -> tuple[list[_ExampleImage], list[Excluded]]:
    """The examples with their images, without those whose file is corrupt or whose crop is too small."""
    images = {
        name: {image.id: (image, hashes) for image, hashes in zip(source.images, source.hashes, strict=True)}
        for name, source in sources.items()
    }
    usable: list[_ExampleImage] = []
    excluded: list[Excluded] = []
    for example, each in zip(examples, found, strict=True):
        if each.reason:
            excluded.append(_excluded(example, each.reason, each.detail))
        else:
            usable.append(_ExampleImage(example, each, *images[example.source][each.id]))
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


def _collapse(usable: Iterable[_ExampleImage]) -> tuple[list[list[_ExampleImage]], list[Excluded]]:
    """The examples of the same pixels, by their id; where their classes differ, all are excluded as a conflict."""
    same_pixels: dict[str, list[_ExampleImage]] = defaultdict(list)
    for each in usable:
        same_pixels[each.image.id].append(each)
    groups: list[list[_ExampleImage]] = []
    conflicts: list[Excluded] = []
    for _, group in sorted(same_pixels.items()):
        class_names = sorted({each.example.class_name for each in group})
        if len(class_names) > 1:
            detail = f"the same image ({group[0].image.file}) is labelled {' and '.join(class_names)}"
            conflicts += [_excluded(each.example, "conflict", detail) for each in group]
        else:
            groups.append(group)
    return groups, conflicts


def _stored(each: _ExampleImage) -> StoredImage:
    image = each.image
    shard = f"{each.example.source}/{image.shard}"
    return StoredImage(image.id, shard, image.offset, image.num_bytes, image.sha256)


def _record(group: Sequence[_ExampleImage]) -> ImageRecord:
    examples, image = [each.example for each in group], group[0].image
    return ImageRecord(
        id=image.id,
        label=examples[0].class_name,
        file=image.file,
        width=image.width,
        height=image.height,
        provenance_keys=tuple(sorted({key for each in group for key in _provenance_keys(each)})),
        origins=tuple(dict.fromkeys(Origin(each.source, each.path, each.label) for each in examples)),
    )


def _provenance_keys(each: _ExampleImage) -> Iterator[str]:
    """Of its names and of its capture: by EXIF data, or by a name that phones give where these are gone."""
    example, found = each.example, each.found
    yield from example.provenance_keys
    captured_at, camera = found.captured_at, found.camera
    if not (captured_at and camera) and (named := name_of_shot(example.path, label=example.label)):
        captured_at, camera = named[0], f"{example.source}/{named[1]}"
    if key := capture_key(captured_at, camera):
        yield key


def _count_reasons(excluded: Iterable[Excluded]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(each.reason for each in excluded).most_common())


def _excluded(example: Example, reason: str, detail: str) -> Excluded:
    return Excluded(example.source, example.path, example.label, reason, detail)
