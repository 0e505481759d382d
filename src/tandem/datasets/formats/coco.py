"""COCO exports: JSON files with `images`, `annotations` and `categories`, and images anywhere in the source.

With boxes, or without (camera traps): then the category is that of the whole image.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import Annotation, Box, boxed, in_order, pixel_box, require_one_meaning
from tandem.datasets.formats.image_files import ImageFiles
from tandem.datasets.formats.text import first_names, load_json, shorten
from tandem.errors import DataError

_REQUIRED = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id", "name"),
}

_MOST_FILES = 100  # of JSON in one folder: more are a file for each image, as of LabelMe, with the image inside

_Entry = dict[str, Any]


class _Note(NamedTuple):
    """One annotation of a file. box: None where it has none, or nothing of it lies in the image."""

    where: str
    label: str
    has_box: bool
    box: Box | None


def matches(root: Path) -> bool:
    """Whether a JSON file with COCO's three keys lies in the folder."""
    return any(_annotation_files(root))


def read(root: Path) -> list[Annotation]:
    """One annotation a box or labelled image, one with label "" for an image without; by path, then box.

    An image is searched below the folders in which exports put it, then anywhere by the end of its path. Images stay
    unopened. Boxes are clipped to the image; one of which nothing is left is an annotation that says so. Raises
    DataError for files that are not COCO, ids that are not listed or listed twice, impossible boxes, missing images.
    """
    images = ImageFiles(root)
    notes: dict[str, list[_Note]] = defaultdict(list)
    for path in _annotation_files(root):
        for image, notes_in_file in _read_file(root, path, images).items():
            notes[image] += notes_in_file
    return in_order(each for image, found in notes.items() for each in _annotations_of(image, found))


def _annotation_files(root: Path) -> Iterator[Path]:
    jsons = [path for path in files.list_files(root) if path.suffix.lower() == ".json"]
    num_beside = Counter(path.parent for path in jsons)
    for path in jsons:
        # The keys are searched as text, so that a file of hundreds of MB is parsed once only.
        if num_beside[path.parent] <= _MOST_FILES and _has_keys(path.read_bytes()):
            yield path


def _has_keys(data: bytes) -> bool:
    text = data.replace(b"\0", b"") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else data
    return all(f'"{key}"'.encode() in text for key in _REQUIRED)


def _annotations_of(path: str, notes: list[_Note]) -> Iterator[Annotation]:
    if not notes:
        yield Annotation(path, "", detail="no annotation says what it shows")
    has_boxes = any(note.has_box for note in notes)
    for note in notes:
        if note.has_box:
            yield boxed(path, note.label, note.box, where=note.where)
        elif has_boxes:
            yield Annotation(path, note.label, None, "no_box", f"{note.where} has no box, others of the image have")
        else:
            yield Annotation(path, note.label)


def _read_file(root: Path, path: Path, images: ImageFiles) -> dict[str, list[_Note]]:
    tables = _tables(path)
    by_id = _unique(path, "images", tables["images"])
    labels = {id_: str(category["name"]) for id_, category in _unique(path, "categories", tables["categories"]).items()}
    _unique(path, "annotations", [note for note in tables["annotations"] if note.get("id") is not None])
    notes: dict[Any, list[_Note]] = {image_id: [] for image_id in by_id}
    has_boxes = any(note.get("bbox") for note in tables["annotations"])
    for place, annotation in enumerate(tables["annotations"]):
        image_id, where = annotation["image_id"], f"{path}: annotation {shorten(annotation.get('id', f'no. {place}'))}"
        if image_id not in by_id:
            raise DataError(
                f"{where} is of image {shorten(image_id)}, which the file does not list; correct or remove it"
            )
        if annotation["category_id"] not in labels:
            known = ", ".join(f"{key} {shorten(name)}" for key, name in [*labels.items()][:20]).replace("'", "")
            found = shorten(annotation["category_id"])
            raise DataError(f"{where} has category {found}, but known are {known}; correct one of them")
        if not (has_boxes and annotation.get("bbox") == []):  # an empty one among boxes: nothing is in the image
            notes[image_id].append(_note(where, annotation, labels, by_id[image_id]))
    used = {annotation["category_id"] for annotation in tables["annotations"]}  # Roboflow lists its project's name too
    require_one_meaning(path, "categories", "name", {id_: name for id_, name in labels.items() if id_ in used})
    _require_pixels(path, tables["annotations"])
    paths = _paths(root, path, by_id, images)
    return {paths[image_id]: found for image_id, found in notes.items()}


def _note(where: str, annotation: _Entry, labels: Mapping[Any, str], image: _Entry) -> _Note:
    """Raises DataError for a box that is not four numbers, of which the last two are at least 0."""
    label, bbox = labels[annotation["category_id"]], annotation.get("bbox")
    if bbox is None or bbox == []:
        return _Note(where, label, has_box=False, box=None)
    try:
        x, y, width, height = bbox
        edges = (x, y, float(x) + float(width), float(y) + float(height))
        return _Note(where, label, True, pixel_box(edges, width=image.get("width"), height=image.get("height")))
    except (TypeError, ValueError, OverflowError):
        size = f"{shorten(image.get('width'))} x {shorten(image.get('height'))}"
        raise DataError(f"{where} has box {shorten(bbox)} in an image of {size} pixels; correct or remove it") from None


def _tables(path: Path) -> dict[str, list[_Entry]]:
    value = load_json(path)
    tables = {key: value.get(key) if isinstance(value, dict) else None for key in _REQUIRED}
    for key, table in tables.items():
        if not isinstance(table, list):
            raise DataError(f"{path} is not a COCO file ({key} is no list); correct it, or get the source again")
        for entry in table:
            _require_entry(path, key, entry)
    return tables  # type: ignore[return-value]


def _require_entry(path: Path, key: str, entry: object) -> None:
    required = _REQUIRED[key]
    if not isinstance(entry, dict) or not entry.keys() >= set(required):
        raise DataError(f"{path}: {key} holds {shorten(entry)}, which lacks some of {sorted(required)}; correct it")
    for name in (*required, "id"):
        value = entry.get(name, "")
        may_be_none = name == "id" and name not in required
        if not (isinstance(value, str | int) or (value is None and may_be_none)) or isinstance(value, bool):
            raise DataError(
                f"{path}: {key} holds {shorten(entry)}, whose {name} {shorten(value)} is neither a text nor a whole "
                "number; correct it"
            )


def _unique(path: Path, key: str, table: Iterable[_Entry]) -> dict[Any, _Entry]:
    """The entries by their ids. Raises DataError for an id of two entries that differ."""
    by_id: dict[Any, _Entry] = {}
    for entry in table:
        other = by_id.setdefault(entry["id"], entry)
        if other != entry:
            says = _REQUIRED[key][-1]
            raise DataError(
                f"{path}: the id {shorten(entry['id'])} stands twice in {key}, with {says} {shorten(other[says])} and "
                f"{shorten(entry[says])}; give each its own id"
            )
    return by_id


def _require_pixels(path: Path, annotations: Iterable[_Entry]) -> None:
    values = [float(value) for annotation in annotations for value in annotation.get("bbox") or ()]
    if values and max(values) <= 1 and any(0 < value < 1 for value in values):
        raise DataError(
            f"{path}: no box reaches beyond 1, so they look like fractions; COCO states boxes in pixels: multiply them "
            "by the image's width and height"
        )


def _paths(root: Path, path: Path, by_id: Mapping[Any, _Entry], images: ImageFiles) -> dict[Any, str]:
    """Image id -> path of its file. Raises DataError for missing images, and for two ids of one file."""
    folders = _likely_folders(root, path)
    found = {id_: images.find(str(image["file_name"]), near=folders) for id_, image in by_id.items()}
    if missing := [str(by_id[id_]["file_name"]) for id_, image in found.items() if image is None]:
        several = images.named(missing[0])
        hint = f", which could be {first_names(several)}" if several else ""
        raise DataError(
            f"{path} names {len(missing)} of {len(by_id)} images that are not there, the first is "
            f"{shorten(missing[0])}{hint}; get the source again, or correct its JSON file"
        )
    paths = {id_: str(image) for id_, image in found.items()}
    require_one_meaning(path, "images", "file", paths)
    return paths


def _likely_folders(root: Path, path: Path) -> list[str]:
    """Where exports put the images of a JSON file, relative to the source's folder, the likeliest first.

    Beside it and one folder up: as named, below `images` and `data`, and below the folder that the JSON file is named
    after (`instances_val2017.json`: `val2017`).
    """
    bases, split = (path.parent, path.parent.parent), path.stem.removeprefix("instances_")
    below = ["", f"images/{split}", "images", "data", split]
    folders = [bases[0], bases[1], *(base / name for name in below[1:] for base in bases)]
    return [folder.relative_to(root).as_posix() for folder in folders if folder.is_relative_to(root)]
