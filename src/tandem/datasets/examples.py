"""What sources claim: this image, or this box of it, is of that class. Nothing is opened here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tandem.datasets import filenames
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.labels import IGNORED, LabelMap
from tandem.errors import DataError
from tandem.sources.settings import BoxPolicy
from tandem.tables.index import Excluded


@dataclass(frozen=True)
class SourceItems:
    """What one source offers: its folder, its items, and how its boxes are to be read, if it has any."""

    root: Path
    items: Sequence[Annotation]
    boxes: BoxPolicy | None


class Example(NamedTuple):
    """box: None for a whole image; else the crop, margin included, in shares of width and height.

    min_side_px: a crop with a shorter side is not used.
    """

    source: str
    path: str
    label: str
    class_name: str
    box: Box | None = None
    min_side_px: int = 0

    @property
    def provenance_keys(self) -> tuple[str, ...]:
        """Names that this image may share with others of its kind (see tandem.datasets.filenames)."""
        name = self.path.rsplit("/", 1)[-1]
        stem, video = filenames.stem(name), filenames.video(name)
        found = [f"stem:{self.source}/{self.class_name}/{stem}"] if stem else []
        found += [f"video:{self.source}/{video}"] if video else []
        return (*found, f"image:{self.source}/{self.path}") if self.box else tuple(found)


def collect_examples(offers: Mapping[str, SourceItems], labels: LabelMap) -> tuple[list[Example], list[Excluded]]:
    """All claims in the order of sources and items, and what is left out by its label alone.

    Raises UnknownLabel for labels without a class, DataError for boxes without a word on how to read them.
    """
    counts = Counter((source, item.label) for source, offer in offers.items() for item in offer.items if item.label)
    labels.require_all(counts)
    found: list[Example] = []
    dropped: list[Excluded] = []
    for source, offer in offers.items():
        for result in _of_source(source, offer, labels):
            (found if isinstance(result, Example) else dropped).append(result)  # type: ignore[arg-type]
    return found, dropped


def _of_source(source: str, offer: SourceItems, labels: LabelMap) -> Iterator[Example | Excluded]:
    items = offer.items
    if any(item.box for item in items):
        if offer.boxes is None:
            raise DataError(
                f"{source} is a detection export; say how to read its boxes: "
                f"sources.{source}.boxes: {{use: whole | crop, margin: 0.1, min_side_px: 32}}"
            )
        if offer.boxes.use == "whole":
            yield from _whole_images(source, items, labels)
            return
        items = [_with_margin(item, offer.boxes.margin) for item in items]
    for item in items:
        yield _example(source, item, labels, offer.boxes)


def _example(source: str, item: Annotation, labels: LabelMap, boxes: BoxPolicy | None = None) -> Example | Excluded:
    class_name = labels.resolve(item.label, source=source) if item.label else None
    if class_name:
        min_side_px = boxes.min_side_px if boxes and item.box else 0
        return Example(source, item.path, item.label, class_name, item.box, min_side_px)
    reason = "ignored_label" if class_name == IGNORED else "unlabelled"
    return Excluded(source, item.path, item.label, reason, "")


def _whole_images(source: str, items: Sequence[Annotation], labels: LabelMap) -> Iterator[Example | Excluded]:
    """One claim an image; an image whose boxes are of several classes (ignored ones count) claims nothing."""
    boxes: dict[str, dict[str, None]] = defaultdict(dict)
    for item in items:
        boxes[item.path][item.label] = None
    for path, names in boxes.items():
        classes = {labels.resolve(name, source=source) for name in names}
        if len(classes) > 1:
            yield Excluded(source, path, ", ".join(names), "mixed_labels", "boxes of several classes in one image")
        else:
            yield _example(source, Annotation(path, next(iter(names))), labels)


def _with_margin(item: Annotation, margin: float) -> Annotation:
    if item.box is None:
        return item
    left, top, width, height = item.box
    right, bottom = min(1.0, left + width * (1 + margin)), min(1.0, top + height * (1 + margin))
    left, top = max(0.0, left - width * margin), max(0.0, top - height * margin)
    return Annotation(item.path, item.label, Box(left, top, right - left, bottom - top))
