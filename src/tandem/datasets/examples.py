"""Training examples as sources state them: this image, or this box of it, is of that class. Nothing is opened here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tandem.datasets.filenames import upload_stem, video_name
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.labels import IGNORED, LabelMap
from tandem.errors import DataError
from tandem.sources.settings import BoxPolicy
from tandem.tables.index import Excluded


@dataclass(frozen=True)
class SourceAnnotations:
    """What one source states: its folder, its annotations, and how its boxes are to be read, if it has any."""

    root: Path
    annotations: Sequence[Annotation]
    boxes: BoxPolicy | None


class Example(NamedTuple):
    """One image or crop with its class. box: None for a whole image; else the crop, margin included.

    label: as the source wrote it. min_side_px: a crop with a shorter side is excluded.
    """

    source: str
    path: str
    label: str
    class_name: str
    box: Box | None = None
    min_side_px: int = 0

    @property
    def provenance_keys(self) -> tuple[str, ...]:
        """Names that this image may share with others of its origin (see tandem.datasets.filenames)."""
        name = self.path.rsplit("/", 1)[-1]
        stem, video = upload_stem(name), video_name(name)
        keys = [f"stem:{self.source}/{self.class_name}/{stem}"] if stem else []
        keys += [f"video:{self.source}/{video}"] if video else []
        return (*keys, f"image:{self.source}/{self.path}") if self.box else tuple(keys)


def count_labels(sources: Mapping[str, SourceAnnotations]) -> Counter[tuple[str, str]]:
    """(source, label) -> number of annotations that are used."""
    return Counter(
        (name, each.label)
        for name, source in sources.items()
        for each in source.annotations
        if each.label and not each.reason
    )


def collect_examples(
    sources: Mapping[str, SourceAnnotations], labels: LabelMap
) -> tuple[list[Example], list[Excluded]]:
    """All examples in the order of sources and annotations, and what is excluded by its label or its annotation.

    Raises UnknownLabelError for labels without a class, DataError for boxes without a policy on how to read them.
    """
    labels.require_all(count_labels(sources))
    results = [result for name, source in sources.items() for result in _of_source(name, source, labels)]
    examples = [result for result in results if isinstance(result, Example)]
    return examples, [result for result in results if isinstance(result, Excluded)]


def _of_source(name: str, source: SourceAnnotations, labels: LabelMap) -> Iterator[Example | Excluded]:
    usable = [annotation for annotation in source.annotations if not annotation.reason]
    has_boxes = any(annotation.box for annotation in usable)
    if has_boxes and source.boxes is None:
        raise DataError(
            f"{name} is a detection export; say how to read its boxes: "
            f"sources.{name}.boxes: {{use: whole | crop, margin: 0.1, min_side_px: 32}}"
        )
    if has_boxes and source.boxes and source.boxes.use == "crop":
        for annotation in usable:
            yield _example(name, _with_margin(annotation, source.boxes.margin), labels, source.boxes)
    else:
        yield from _whole_images(name, usable, labels)
    for each in source.annotations:
        if each.reason:
            yield Excluded(name, each.path, each.label, each.reason, each.detail)


def _example(
    source: str, annotation: Annotation, labels: LabelMap, boxes: BoxPolicy | None = None
) -> Example | Excluded:
    class_name = labels.resolve(annotation.label, source=source) if annotation.label else None
    if class_name:
        min_side_px = boxes.min_side_px if boxes and annotation.box else 0
        return Example(source, annotation.path, annotation.label, class_name, annotation.box, min_side_px)
    reason = "ignored_label" if class_name == IGNORED else "unlabelled"
    detail = annotation.detail if reason == "unlabelled" else ""
    return Excluded(source, annotation.path, annotation.label, reason, detail)


def _whole_images(source: str, annotations: Sequence[Annotation], labels: LabelMap) -> Iterator[Example | Excluded]:
    """One example an image; an image with labels of several classes (ignored ones count) is excluded."""
    labels_of: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for annotation in annotations:
        labels_of[annotation.path].setdefault(annotation.label, annotation)
    for path, names in labels_of.items():
        classes = {labels.resolve(name, source=source) for name in names}
        if len(classes) > 1:
            what = "boxes" if any(annotation.box for annotation in names.values()) else "labels"
            yield Excluded(source, path, ", ".join(names), "mixed_labels", f"{what} of several classes in one image")
        else:
            yield _example(source, replace(next(iter(names.values())), box=None), labels)


def _with_margin(annotation: Annotation, margin: float) -> Annotation:
    if annotation.box is None:
        return annotation
    left, top, width, height = annotation.box
    right, bottom = min(1.0, left + width * (1 + margin)), min(1.0, top + height * (1 + margin))
    left, top = max(0.0, left - width * margin), max(0.0, top - height * margin)
    return Annotation(annotation.path, annotation.label, Box(left, top, right - left, bottom - top))
