"""FiftyOne's FiftyOneImageClassificationDataset and FiftyOneImageDetectionDataset: `data/` beside `labels.json`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tandem import files
from tandem.datasets.formats.annotations import (
    NO_IMAGE,
    Annotation,
    Box,
    bad_annotation,
    boxed,
    clip_box,
    in_order,
    mark_missing,
    require_one_meaning,
)
from tandem.datasets.formats.image_files import ImageFiles, require_found
from tandem.datasets.formats.text import load_json, shorten
from tandem.errors import DataError


def matches(root: Path) -> bool:
    """Whether a labels.json with FiftyOne's two keys lies in the folder."""
    return any(_label_files(root))


def read(root: Path) -> list[Annotation]:
    """One annotation a label or box, one with label "" for an image without; by path, then box. Images stay unopened.

    Raises DataError for a file that is not FiftyOne's, and where no image is there. What is of one that is missing, a
    box that is not four fractions, and a class that the file does not list are annotations that say so.
    """
    images = ImageFiles(root)
    found = [mark_missing(each) for path in _label_files(root) for each in _of_file(root, path, images)]
    named = {each.path for each in found}
    rest = [Annotation(path, "", detail="labels.json does not name it") for path in images.paths if path not in named]
    return in_order([*found, *rest])


def _label_files(root: Path) -> Iterator[Path]:
    for path in files.list_files(root):
        if path.name == "labels.json":
            data = path.read_bytes()
            if b'"labels"' in data and b'"classes"' in data and b'"annotations"' not in data:
                yield path


def _of_file(root: Path, path: Path, images: ImageFiles) -> Iterator[Annotation]:
    value = load_json(path)
    labels: Any = value.get("labels") if isinstance(value, dict) else None
    classes: Any = value.get("classes") if isinstance(value, dict) else None
    if not isinstance(labels, dict) or not isinstance(classes, list | None):
        raise DataError(f"{path} has no `labels` by image, as FiftyOne writes them; correct it, or export it again")
    near = [(path.parent / name).relative_to(root).as_posix() for name in ("data", "images", "")]
    found = {name: image for name in labels if (image := images.find(name, near=near))}
    require_found(path, [name for name in labels if name not in found], len(labels), images)
    require_one_meaning(path, "images", "file", found)
    used = {each for entry in labels.values() for each in _targets(entry)}
    names = {number: str(name) for number, name in enumerate(classes or ()) if number in used}
    require_one_meaning(path, "classes", "name", names)
    own = path.relative_to(root).as_posix()
    for name, entry in labels.items():
        where = f"{path}: {shorten(name)}"
        for each in _of_image(where, found.get(name, own), entry, classes):
            if name in found:
                yield each
            else:
                yield Annotation(own, each.label, None, NO_IMAGE, f"{where}: the image is not there")


def _targets(entry: Any) -> Iterator[int]:
    for each in entry if isinstance(entry, list) else [entry]:
        target = each.get("label") if isinstance(each, dict) else each
        if type(target) is int:
            yield target


def _of_image(where: str, path: str, entry: Any, classes: list[Any] | None) -> Iterator[Annotation]:
    entries = entry if isinstance(entry, list) else [] if entry is None else [entry]
    if not entries:
        yield Annotation(path, "", detail=f"{where} has no label")
    for each in entries:
        target = each.get("label") if isinstance(each, dict) else each
        if target in (None, ""):
            yield Annotation(path, "", detail=f"{where} has no label")
            continue
        label = _label(target, classes)
        if label is None:
            yield bad_annotation(path, f"{where} has label {shorten(target)}, but the classes are {shorten(classes)}")
            continue
        if isinstance(each, dict) and "bounding_box" in each:
            yield boxed(path, label, _box(each["bounding_box"]), where=where)
        else:
            yield Annotation(path, label)


def _label(target: Any, classes: list[Any] | None) -> str | None:
    """None for a target that the classes do not list."""
    if isinstance(target, str) and target:
        return target
    if classes is not None and type(target) is int and 0 <= target < len(classes) and isinstance(classes[target], str):
        return classes[target]
    return None


def _box(value: Any) -> Box | str | None:
    """(left, top, width, height) in fractions; a text, what is wrong, for other values."""
    try:
        left, top, width, height = (float(each) for each in value)
        if not (width >= 0 and height >= 0 and max(abs(each) for each in (left, top, width, height)) <= 2):
            raise ValueError("no fractions")
        return clip_box(left=left, top=top, right=left + width, bottom=top + height)
    except (TypeError, ValueError, OverflowError):
        return f"has box {shorten(value)}; four fractions of the image's sides are needed"
