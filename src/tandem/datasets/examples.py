"""Training examples: this image, or this crop of it, is of that class. Nothing is opened here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tandem.datasets.filenames import upload_stem, video_name
from tandem.datasets.formats.annotations import BAD_ANNOTATION, MISSING_LABEL, Annotation, Box
from tandem.datasets.labels import IGNORED, LabelMap
from tandem.errors import DataError
from tandem.sources.settings import BoxPolicy
from tandem.tables.index import Excluded

_UNLABELLED = "unlabelled"  # of an image of which nothing says what it shows


@dataclass(frozen=True)
class SourceAnnotations:
    """What one source states: its folder, its annotations, and how its boxes are to be read, if it has any."""

    root: Path
    annotations: Sequence[Annotation]
    boxes: BoxPolicy | None


class Example(NamedTuple):
    """One image or crop with its class. box: None for a whole image; else the crop, margin included.

    label: as the source wrote it.
    """

    source: str
    path: str
    label: str
    class_name: str
    box: Box | None = None

    @property
    def provenance_keys(self) -> tuple[str, ...]:
        """Names that this image may share with others of its origin (see tandem.datasets.filenames)."""
        name = self.path.rsplit("/", 1)[-1]
        stem, video = upload_stem(name), video_name(self.path, label=self.label)
        keys = [f"stem:{self.source}/{self.class_name}/{stem}"] if stem else []
        keys += [f"video:{self.source}/{video}"] if video else []
        keys += [f"frame:{self.source}"] if video == "" else []
        return (*keys, f"image:{self.source}/{self.path}") if self.box else tuple(keys)


def resolve_boxes(name: str, source: SourceAnnotations) -> list[Annotation]:
    """The annotations of a source, each of the whole image or of a crop, margin included, as its policy wants.

    Raises DataError for boxes without a policy on how to read them. name: of the source.
    """
    has_boxes = any(annotation.box for annotation in source.annotations if not annotation.reason)
    if has_boxes and source.boxes is None:
        raise DataError(
            f"{name} is a detection export; say how to read its boxes: "
            f"sources.{name}.boxes: {{use: whole | crop, margin: 0.1, min_side_px: 32}}"
        )
    if source.boxes and source.boxes.use == "crop":
        return [_with_margin(annotation, source.boxes.margin) for annotation in source.annotations]
    return [replace(annotation, box=None) for annotation in source.annotations]


def count_labels(annotations: Mapping[str, Sequence[Annotation]]) -> Counter[tuple[str, str]]:
    """(source, label) -> number of annotations that are used."""
    return Counter(
        (name, each.label)
        for name, of_source in annotations.items()
        for each in of_source
        if each.label and not each.reason
    )


def require_few_bad(annotations: Mapping[str, Sequence[Annotation]], *, max_fraction: float) -> None:
    """Raise DataError for a source of whose annotations more than a fraction cannot be used, as is said of files."""
    for name, of_source in annotations.items():
        bad = [each for each in of_source if each.reason == BAD_ANNOTATION]
        total = len(bad) + sum(bool(each.label) for each in of_source if each.reason != BAD_ANNOTATION)
        if len(bad) > max_fraction * total:
            first = "\n  ".join(each.detail for each in bad[:5])
            raise DataError(
                f"{len(bad)} of {total} annotations of {name} cannot be used, more than merge.max_corrupt_fraction = "
                f"{max_fraction} allows. The first ones:\n  {first}\ncorrect or remove them, or raise "
                "merge.max_corrupt_fraction"
            )


def collect_examples(
    annotations: Mapping[str, Sequence[Annotation]], labels: LabelMap
) -> tuple[list[Example], list[Excluded]]:
    """All examples in the order of sources and annotations, and what is excluded by its label or its annotation.

    annotations: of each source, as of resolve_boxes. Raises UnknownLabelError for labels without a class.
    """
    labels.require_all(count_labels(annotations))
    results = [result for name, of_source in annotations.items() for result in _of_source(name, of_source, labels)]
    examples = [result for result in results if isinstance(result, Example)]
    return examples, [result for result in results if isinstance(result, Excluded)]


def _of_source(name: str, annotations: Sequence[Annotation], labels: LabelMap) -> Iterator[Example | Excluded]:
    annotations = [_named(each, labels, name) for each in annotations]
    usable = [annotation for annotation in annotations if not annotation.reason]
    if any(annotation.box for annotation in usable):
        for annotation in usable:
            yield _example(name, annotation, labels)
    else:
        bad = [each for each in annotations if each.reason == BAD_ANNOTATION and each.label]
        yield from _whole_images(name, usable, bad, labels)
    for each in annotations:
        if each.reason:
            reason = _UNLABELLED if each.reason == MISSING_LABEL else each.reason
            yield Excluded(name, each.path, each.label, reason, each.detail)


def _named(annotation: Annotation, labels: LabelMap, source: str) -> Annotation:
    """With a label that stands for none elsewhere, but not in the label map."""
    is_named = annotation.reason == MISSING_LABEL and labels.resolve(annotation.label, source=source) is not None
    return replace(annotation, reason="", detail="") if is_named else annotation


def _example(source: str, annotation: Annotation, labels: LabelMap) -> Example | Excluded:
    class_name = labels.resolve(annotation.label, source=source) if annotation.label else None
    if class_name:
        return Example(source, annotation.path, annotation.label, class_name, annotation.box)
    reason = "ignored_label" if class_name == IGNORED else _UNLABELLED
    detail = annotation.detail if reason == _UNLABELLED else ""
    return Excluded(source, annotation.path, annotation.label, reason, detail)


def _whole_images(
    source: str, annotations: Sequence[Annotation], bad: Sequence[Annotation], labels: LabelMap
) -> Iterator[Example | Excluded]:
    """One example an image; an image with labels of several classes (ignored ones count) is excluded.

    bad: those that cannot be used, whose labels still say what else the images hold.
    """
    labels_of: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for annotation in annotations:
        labels_of[annotation.path].setdefault(annotation.label, annotation)
    for annotation in bad:
        if annotation.path in labels_of:
            labels_of[annotation.path].setdefault(annotation.label, annotation)
    for path, names in labels_of.items():
        classes = {labels.resolve(name, source=source) for name in names}
        if len(classes) > 1:
            yield Excluded(source, path, ", ".join(names), "mixed_labels", "labels of several classes in one image")
        else:
            yield _example(source, next(iter(names.values())), labels)


def _with_margin(annotation: Annotation, margin: float) -> Annotation:
    if annotation.box is None:
        return annotation
    left, top, width, height = annotation.box
    right, bottom = min(1.0, left + width * (1 + margin)), min(1.0, top + height * (1 + margin))
    left, top = max(0.0, left - width * margin), max(0.0, top - height * margin)
    return replace(annotation, box=Box(left, top, right - left, bottom - top))
