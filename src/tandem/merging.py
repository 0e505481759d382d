"""Claims of many sources to one index: every picture decoded once, exact copies collapsed, conflicts set aside.

What is left out is returned with its reason, never skipped in silence.
"""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from tandem.claims import Boxes, Claim, Offer, claims
from tandem.errors import BrokenImage, DataError
from tandem.files import sha256
from tandem.formats import detection
from tandem.formats.items import Box
from tandem.hashes import oriented_hashes
from tandem.images import decode, pixel_id
from tandem.labels import LabelMap
from tandem.records import Dropped, Index, Origin, Record

BROKEN = ("empty", "not_an_image", "too_large", "too_small", "truncated")
_AHEAD = 64  # pictures that may wait, encoded, to be written

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class View(NamedTuple):
    """A decoded picture or crop and the name of its file. hashes: (8, 32) uint8."""

    id: str
    file: str
    width: int
    height: int
    hashes: np.ndarray


class Encoded(NamedTuple):
    """A view and the bytes of its file."""

    view: View
    data: bytes


@dataclass(frozen=True)
class Merged:
    """hashes: (N, 8, 32) uint8, row i of record i. num_files: files opened.

    num_byte_copies: files whose bytes an earlier file has. num_pixel_copies: pictures of other bytes
    but with the pixels of an earlier one.
    """

    index: Index
    hashes: np.ndarray
    dropped: tuple[Dropped, ...]
    num_files: int
    num_byte_copies: int
    num_pixel_copies: int


def merge(
    offered: Mapping[str, Offer],
    *,
    labels: LabelMap,
    images_dir: Path,
    min_side_px: int,
    max_pixels: int,
    max_broken_share: float,
    workers: int,
) -> Merged:
    """Write the pictures to `images_dir`, conflicting ones too; return the index and all that was left out.

    Raises UnknownLabel for labels without a class, DataError when more than `max_broken_share` of the
    files are broken or no picture is left.
    """
    found, dropped = claims(offered, labels)
    digests = _digests(offered, found, workers)
    boxes: dict[str, list[Box | None]] = defaultdict(list)
    path_of: dict[str, Path] = {}
    for claim in found:
        digest = digests[claim.source, claim.path]
        boxes[digest].append(claim.box)
        path_of.setdefault(digest, offered[claim.source].root / claim.path)

    def look(digest: str) -> dict[Box | None, Encoded] | BrokenImage:
        data = path_of[digest].read_bytes()
        try:
            image, extension = decode(data, min_side_px=min_side_px, max_pixels=max_pixels)
        except BrokenImage as error:
            return error
        return {box: _encode(image, box, data, extension) for box in boxes[digest]}

    seen: dict[str, dict[Box | None, View] | BrokenImage] = {}
    stored: dict[str, View] = {}
    looks = tqdm(_in_order(look, list(boxes), workers), "merge", len(boxes), unit="picture", disable=None)
    for digest, encoded in zip(boxes, looks, strict=True):
        seen[digest] = encoded if isinstance(encoded, BrokenImage) else _store(encoded, stored, images_dir)
    good, broken = _sort_out(found, {key: seen[digest] for key, digest in digests.items()})
    _require_few_broken(broken, num_files=len(digests), max_share=max_broken_share)
    records, conflicts = _collapse(good)
    left_out = [*dropped, *broken, *conflicts]
    if not records:
        reasons = _reasons(left_out) or "none was found"
        raise DataError(f"no picture is left ({reasons}); look at labels and at the sources' folders")
    for name in {view.file for view in stored.values()} - {view.file for _, view in good}:
        (images_dir / name).unlink()  # crops that were too small
    return Merged(
        index=Index(tuple(records)),
        hashes=np.stack([stored[record.id].hashes for record in records]),
        dropped=tuple(sorted(left_out, key=lambda drop: (drop.source, drop.path, drop.label))),
        num_files=len(digests),
        num_byte_copies=len(digests) - len(boxes),
        num_pixel_copies=sum(len(views) for views in seen.values() if isinstance(views, dict)) - len(stored),
    )


def offers(sources: Mapping[str, Mapping[str, Any]], *, downloads: Path) -> dict[str, Offer]:
    """What the sources of the parameters offer, from their folders below `downloads`."""
    return {
        name: Offer(
            downloads / name,
            detection.read(downloads / name, format=source["format"]),
            Boxes(**source["boxes"]) if source.get("boxes") else None,
        )
        for name, source in sources.items()
    }


def summary(merged: Merged) -> dict[str, object]:
    """Counts for the metrics: records by class and source, copies, and what was dropped by reason."""
    records = merged.index.records
    return {
        "pictures": len(records),
        "files": merged.num_files,
        "byte_copies": merged.num_byte_copies,
        "pixel_copies": merged.num_pixel_copies,
        "classes": dict(sorted(Counter(record.label for record in records).items())),
        "sources": dict(sorted(Counter(record.source for record in records).items())),
        "dropped": dict(sorted(Counter(drop.reason for drop in merged.dropped).items())),
    }


def _digests(offered: Mapping[str, Offer], found: Iterable[Claim], workers: int) -> dict[tuple[str, str], str]:
    """(source, path) -> sha256 of the file's bytes."""
    keys = list(dict.fromkeys((claim.source, claim.path) for claim in found))
    digests = _in_order(lambda key: sha256(offered[key[0]].root / key[1]), keys, workers)
    return dict(zip(keys, digests, strict=True))


def _in_order(work: Callable[[_Key], _Value], keys: Sequence[_Key], workers: int) -> Iterator[_Value]:
    """The results in the order of the keys, by `workers` threads that run a bounded way ahead."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(keys), _AHEAD):
            yield from pool.map(work, keys[start : start + _AHEAD])


def _encode(image: Image.Image, box: Box | None, data: bytes, extension: str | None) -> Encoded:
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
    return Encoded(View(id_, f"{id_}.{extension}", image.width, image.height, oriented_hashes(image)), data)


def _store(encoded: Mapping[Box | None, Encoded], stored: dict[str, View], images_dir: Path) -> dict[Box | None, View]:
    """Write each picture whose pixels are new; the first file that holds them gives the bytes."""
    for view, data in encoded.values():
        if stored.setdefault(view.id, view) is view:
            (images_dir / view.file).write_bytes(data)
    return {box: stored[view.id] for box, (view, _) in encoded.items()}


def _sort_out(
    found: Iterable[Claim], seen: Mapping[tuple[str, str], dict[Box | None, View] | BrokenImage]
) -> tuple[list[tuple[Claim, View]], list[Dropped]]:
    good: list[tuple[Claim, View]] = []
    dropped: list[Dropped] = []
    for claim in found:
        views = seen[claim.source, claim.path]
        if isinstance(views, BrokenImage):
            dropped.append(_dropped(claim, views.reason, str(views)))
        elif min(views[claim.box].width, views[claim.box].height) < claim.min_side_px:
            dropped.append(_dropped(claim, "small_box", f"the crop's shorter side is below {claim.min_side_px} pixels"))
        else:
            good.append((claim, views[claim.box]))
    return good, dropped


def _require_few_broken(broken: Sequence[Dropped], *, num_files: int, max_share: float) -> None:
    files = {(drop.source, drop.path): drop for drop in broken if drop.reason in BROKEN}
    if len(files) > max_share * num_files:
        first = "\n  ".join(f"{d.source}: {d.path}: {d.reason} ({d.detail})" for d in list(files.values())[:5])
        raise DataError(
            f"{len(files)} of {num_files} files are broken, more than merge.max_broken_share = {max_share} allows: "
            f"{_reasons(files.values())}. The first ones:\n  {first}\n"
            "look at these files; mend the source, or raise merge.max_broken_share"
        )


def _collapse(good: Iterable[tuple[Claim, View]]) -> tuple[list[Record], list[Dropped]]:
    """One record for all claims on the same pixels; claims of several classes are a conflict, which nobody guesses."""
    same: dict[str, list[tuple[Claim, View]]] = defaultdict(list)
    for claim, view in good:
        same[view.id].append((claim, view))
    records: list[Record] = []
    conflicts: list[Dropped] = []
    for _, group in sorted(same.items()):
        class_names = sorted({claim.class_name for claim, _ in group})
        if len(class_names) > 1:
            detail = f"the same picture ({group[0][1].file}) is labelled {' and '.join(class_names)}"
            conflicts += [_dropped(claim, "conflict", detail) for claim, _ in group]
        else:
            records.append(_record(group))
    return records, conflicts


def _record(group: Sequence[tuple[Claim, View]]) -> Record:
    claim, view = group[0]
    return Record(
        id=view.id,
        label=claim.class_name,
        file=view.file,
        width=view.width,
        height=view.height,
        hints=tuple(sorted({hint for claim, _ in group for hint in claim.hints})),
        origins=tuple(dict.fromkeys(Origin(claim.source, claim.path, claim.label) for claim, _ in group)),
    )


def _reasons(dropped: Iterable[Dropped]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(drop.reason for drop in dropped).most_common())


def _dropped(claim: Claim, reason: str, detail: str) -> Dropped:
    return Dropped(claim.source, claim.path, claim.label, reason, detail)
