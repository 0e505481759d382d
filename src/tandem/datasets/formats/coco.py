"""COCO detection exports: JSON files with `images`, `annotations` and `categories`, beside or above the images."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tandem import files
from tandem.datasets.formats.annotations import Annotation, Box, clip_box, export_roots
from tandem.errors import DataError

_KEYS = ("images", "annotations", "categories")

_Boxes = set[tuple[Box, str]]


def matches(root: Path) -> bool:
    """Whether a JSON file with COCO's three keys lies where exports put it."""
    return any(_annotation_files(root))


def read(root: Path) -> list[Annotation]:
    """One annotation a box, one with label "" for an image without boxes; by path, then box. Images stay unopened.

    An image is searched beside its JSON file and one folder up: as named, below `images`, and below the folder that the
    JSON file is named after (`instances_val2017.json`: `val2017`). Boxes are clipped to the image, and dropped where
    nothing is left. Raises DataError for files that are not COCO, ids that are not listed and missing images.
    """
    boxes: dict[str, _Boxes] = defaultdict(set)
    for path in _annotation_files(root):
        for image, boxes_in_file in _boxes_of_file(root, path).items():
            boxes[image] |= boxes_in_file
    return [annotation for image in sorted(boxes) for annotation in _annotations_of(image, boxes[image])]


def _annotation_files(root: Path) -> Iterator[Path]:
    folders = export_roots(root)
    for path in files.list_files(root):
        is_candidate = path.name.endswith("_annotations.coco.json") or (
            path.suffix.lower() == ".json" and (path.parent.name == "annotations" or path.parent in folders)
        )
        # The keys are searched as text, so that a file of hundreds of MB is parsed once only.
        if is_candidate and (data := path.read_bytes()) and all(f'"{key}"'.encode() in data for key in _KEYS):
            yield path


def _annotations_of(path: str, boxes: _Boxes) -> list[Annotation]:
    return [Annotation(path, label, box) for box, label in sorted(boxes)] or [Annotation(path, "")]


def _boxes_of_file(root: Path, path: Path) -> dict[str, _Boxes]:
    images, annotations, categories = _tables(path)
    labels = {category["id"]: str(category["name"]) for category in categories}
    by_id = {image["id"]: image for image in images}
    boxes: dict[Any, _Boxes] = {image_id: set() for image_id in by_id}
    for annotation in annotations:
        image_id, label_id = annotation["image_id"], annotation["category_id"]
        where = f"{path}: annotation {annotation.get('id')}"
        if image_id not in by_id:
            raise DataError(f"{where} is of image {image_id!r}, which the file does not list; correct or remove it")
        if label_id not in labels:
            known = ", ".join(f"{key} {name}" for key, name in labels.items())
            raise DataError(f"{where} has category {label_id!r}, but known are {known}; correct one of them")
        if box := _box(where, annotation.get("bbox"), by_id[image_id]):
            boxes[image_id].add((box, labels[label_id]))
    return _by_path(root, path, by_id, boxes)


def _by_path(
    root: Path, path: Path, by_id: Mapping[Any, Mapping[str, Any]], boxes: Mapping[Any, _Boxes]
) -> dict[str, _Boxes]:
    boxes_by_path: dict[str, _Boxes] = defaultdict(set)
    missing = []
    for image_id, image in by_id.items():
        name = str(image["file_name"])
        if image_path := _find_image(root, path, name):
            boxes_by_path[image_path] |= boxes[image_id]
        else:
            missing.append(name)
    if missing:
        raise DataError(
            f"{path} names {len(missing)} of {len(by_id)} images that are not there, the first is {missing[0]!r}; "
            "get the source again, or correct its JSON file"
        )
    return boxes_by_path


def _find_image(root: Path, path: Path, name: str) -> str | None:
    """The image's POSIX path relative to the root; None when it is missing or would lie outside."""
    if name.startswith("/") or ".." in name.split("/"):
        return None
    bases, split = (path.parent, path.parent.parent), path.stem.removeprefix("instances_")
    folders = [*bases, *(base / "images" for base in bases), *(base / split for base in bases)]
    candidates = (folder / name for folder in folders if folder.is_relative_to(root))
    return next((image.relative_to(root).as_posix() for image in candidates if image.is_file()), None)


def _tables(path: Path) -> list[list[dict[str, Any]]]:
    try:
        value = json.loads(path.read_bytes())
        tables = [list(value[key]) for key in _KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is not a COCO file ({error!r}); correct it, or get the source again") from None
    required = ({"id", "file_name"}, {"image_id", "category_id"}, {"id", "name"})
    for key, table, keys in zip(_KEYS, tables, required, strict=True):
        for entry in table:
            if not isinstance(entry, dict) or not keys <= entry.keys():
                raise DataError(f"{path}: {key} holds {entry!r}, which lacks some of {sorted(keys)}; correct it")
    return tables


def _box(where: str, bbox: object, image: Mapping[str, Any]) -> Box | None:
    """Pixels (left, top, width, height) to fractions of the stated size, clipped; None when nothing is left."""
    try:
        x, y, width, height = map(float, bbox)  # type: ignore[call-overload]
        image_width, image_height = float(image["width"]), float(image["height"])
        return clip_box(
            left=x / image_width,
            top=y / image_height,
            right=(x + width) / image_width,
            bottom=(y + height) / image_height,
        )
    except (TypeError, ValueError, KeyError, ZeroDivisionError):
        size = f"{image.get('width')!r} x {image.get('height')!r}"
        raise DataError(f"{where} has box {bbox!r} in an image of {size} pixels; correct or remove it") from None
