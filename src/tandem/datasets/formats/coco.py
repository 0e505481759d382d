"""COCO exports: JSON files with `images`, `annotations` and `categories`, and images anywhere in the source.

With boxes, or without (camera traps): then the category is that of the whole image.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import (
    NO_BOX,
    NO_IMAGE,
    Annotation,
    Box,
    are_fractions,
    bad_annotation,
    boxed,
    in_order,
    pixel_box,
    require_one_meaning,
)
from tandem.datasets.formats.image_files import ImageFiles, require_found, size_in_pixels
from tandem.datasets.formats.text import load_json, shorten
from tandem.errors import DataError

_REQUIRED = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id", "name"),
}

_IDS, _MAX_ID = ("id", "image_id", "category_id"), 19  # digits of 64 bits
_MOST_FILES = 100  # of JSON in one folder: more are a file for each image, as of LabelMe, with the image inside

_Entry = dict[str, Any]


class _Note(NamedTuple):
    """One annotation of a file. box: None where it has none, or nothing of it lies in the image; a text: see boxed."""

    where: str
    label: str
    has_box: bool
    box: Box | str | None


def matches(root: Path) -> bool:
    """Whether a JSON file with COCO's three keys lies in the folder."""
    return any(_annotation_files(root))


def read(root: Path) -> list[Annotation]:
    """One annotation a box or labelled image, one with label "" for an image without; by path, then box.

    An image is searched below the folders in which exports put it, then anywhere by the end of its path. It is
    opened only where its size is not stated. Boxes are clipped to the image; one of which nothing is left, and what is
    of an image that is not there, impossible boxes and ids that are not listed are annotations that say so. Raises
    DataError for files that are not COCO, ids that are listed twice, and where no image is there.
    """
    images = ImageFiles(root)
    notes: dict[str, list[_Note]] = defaultdict(list)
    of_none: list[Annotation] = []
    for path in _annotation_files(root):
        notes_in_file, others = _read_file(root, path, images)
        for image, found in notes_in_file.items():
            notes[image] += found
        of_none += others
    return in_order([*of_none, *(each for image, found in notes.items() for each in _annotations_of(image, found))])


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
            yield Annotation(path, note.label, None, NO_BOX, f"{note.where} has no box, others of the image have")
        else:
            yield Annotation(path, note.label)


def _read_file(root: Path, path: Path, images: ImageFiles) -> tuple[dict[str, list[_Note]], list[Annotation]]:
    """The notes of each image that is there, and what the file states of others or of none that it lists."""
    tables, problems = _tables(path)
    by_id = _unique(path, "images", tables["images"])
    labels = {id_: str(category["name"]) for id_, category in _unique(path, "categories", tables["categories"]).items()}
    paths, sizes = _paths(root, path, by_id, images), dict[Any, tuple[object, object]]()
    notes: dict[Any, list[_Note]] = {image_id: [] for image_id in by_id}
    own = path.relative_to(root).as_posix()
    of_none = [bad_annotation(own, problem) for problem in problems]
    has_boxes = any(note.get("bbox") for note in tables["annotations"])
    for place, annotation in enumerate(tables["annotations"]):
        image_id, where = annotation["image_id"], f"{path}: annotation {shorten(annotation.get('id', f'no. {place}'))}"
        if problem := _unlisted(annotation, by_id, labels):
            of_none.append(bad_annotation(paths.get(image_id, own), f"{where} {problem}"))
            continue
        label, bbox = labels[annotation["category_id"]], annotation.get("bbox")
        if image_id not in paths or bbox is None or (bbox == [] and not has_boxes):
            notes[image_id].append(_Note(where, label, has_box=False, box=None))
        elif bbox != []:  # an empty one among boxes: nothing is in the image
            if image_id not in sizes:
                image = by_id[image_id]
                sizes[image_id] = size_in_pixels(image.get("width"), image.get("height"), root / paths[image_id])
            notes[image_id].append(_Note(where, label, True, _box(bbox, sizes[image_id])))
    used = {each["category_id"] for each in tables["annotations"]}  # Roboflow lists its project's name too
    require_one_meaning(path, "categories", "name", {id_: name for id_, name in labels.items() if id_ in used})
    _require_pixels(path, tables["annotations"])
    missing = (each for id_ in by_id if id_ not in paths for each in _without_image(own, by_id[id_], notes[id_]))
    return {paths[id_]: found for id_, found in notes.items() if id_ in paths}, [*of_none, *missing]


def _without_image(own: str, image: _Entry, notes: Sequence[_Note]) -> Iterator[Annotation]:
    name = shorten(image["file_name"])
    for label, where in [(note.label, note.where) for note in notes] or [("", f"{own}: image {shorten(image['id'])}")]:
        yield Annotation(own, label, None, NO_IMAGE, f"{where}: the image {name} is not there")


def _unlisted(annotation: _Entry, images: Mapping[Any, _Entry], labels: Mapping[Any, str]) -> str:
    """What is wrong with the ids of an annotation, "" for nothing."""
    if annotation["image_id"] not in images:
        return f"is of image {shorten(annotation['image_id'])}, which the file does not list"
    if annotation["category_id"] not in labels:
        known = ", ".join(f"{key} {shorten(name)}" for key, name in [*labels.items()][:20]).replace("'", "") or "none"
        return f"has category {shorten(annotation['category_id'])}, but known are {known}"
    return ""


def _box(bbox: Any, size: tuple[object, object]) -> Box | str | None:
    """A text, what is wrong, for a box that is not four numbers, of which the last two are at least 0."""
    try:
        x, y, width, height = bbox
        edges = (x, y, float(x) + float(width), float(y) + float(height))
        return pixel_box(edges, width=size[0], height=size[1])
    except (TypeError, ValueError, OverflowError):
        return f"has box {shorten(bbox)} in an image of {' x '.join(map(shorten, size))} pixels"


def _tables(path: Path) -> tuple[dict[str, list[_Entry]], list[str]]:
    """The tables of COCO, and what is wrong with annotations that are none; these are left out."""
    value, problems = load_json(path), list[str]()
    tables = {key: value.get(key) if isinstance(value, dict) else None for key in _REQUIRED}
    for key, table in tables.items():
        if not isinstance(table, list):
            raise DataError(f"{path} is not a COCO file ({key} is no list); correct it, or get the source again")
        entries = list[_Entry]()
        for entry in table:
            if isinstance(entry, dict):
                entry |= {name: _id(entry[name]) for name in _IDS if name in entry}
            problem = _problem(key, entry)
            if problem and key != "annotations":
                raise DataError(f"{path}: {problem}; correct it")
            problems += [f"{path}: {problem}"] if problem else []
            entries += [] if problem else [entry]
        tables[key] = entries
    return tables, problems  # type: ignore[return-value]


def _id(value: Any) -> Any:
    """An id in one form, in whichever of JSON's a file writes it: 12, 12.0 (as of pandas) and "12" are one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    is_number = isinstance(value, str) and len(value) < _MAX_ID and value.isdecimal() and value.isascii()
    return int(value) if is_number and str(int(value)) == value else value


def _problem(key: str, entry: object) -> str:
    """What is wrong with an entry of a table, "" for nothing."""
    required = _REQUIRED[key]
    if not isinstance(entry, dict) or not entry.keys() >= set(required):
        return f"{key} holds {shorten(entry)}, which lacks some of {sorted(required)}"
    for name in required:
        value = entry[name]
        if not isinstance(value, str | int) or isinstance(value, bool):
            return f"{key} holds {shorten(entry)}, whose {name} {shorten(value)} is neither a text nor a whole number"
    return ""


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
    boxes = (bbox for annotation in annotations if isinstance(bbox := annotation.get("bbox"), list))
    if are_fractions(value for bbox in boxes for value in bbox):
        raise DataError(
            f"{path}: no box reaches beyond 1, so they look like fractions; COCO states boxes in pixels: multiply them "
            "by the image's width and height"
        )


def _paths(root: Path, path: Path, by_id: Mapping[Any, _Entry], images: ImageFiles) -> dict[Any, str]:
    """Image id -> path of its file, of those that are there.

    Raises DataError where none is, for names that could be several images, and for two ids of one file.
    """
    names, near = {id_: str(image["file_name"]) for id_, image in by_id.items()}, _likely_folders(root, path)
    found = {id_: image for id_, name in names.items() if (image := images.find(name, near=near))}
    require_found(path, [name for id_, name in names.items() if id_ not in found], len(names), images)
    require_one_meaning(path, "images", "file", found)
    return found


def _likely_folders(root: Path, path: Path) -> list[str]:
    """Where exports put the images of a JSON file, relative to the source's folder, the likeliest first.

    Beside it and one folder up: as named, below `images` and `data`, and below the folder that the JSON file is named
    after (`instances_val2017.json`: `val2017`).
    """
    bases, split = (path.parent, path.parent.parent), path.stem.removeprefix("instances_")
    below = ["", f"images/{split}", "images", "data", split]
    folders = [bases[0], bases[1], *(base / name for name in below[1:] for base in bases)]
    return [folder.relative_to(root).as_posix() for folder in folders if folder.is_relative_to(root)]
