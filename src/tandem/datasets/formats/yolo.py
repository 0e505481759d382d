"""YOLO detection exports: boxes in a text file for each image, names of classes in a YAML file or a list.

The layouts of Ultralytics (`images` and `labels`, a YAML file of any name), Roboflow, FiftyOne, Label Studio
(`classes.txt`), LabelImg and Darknet (text files beside the images, `obj.names` or other `.names`).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import (
    Annotation,
    Box,
    boxed,
    clip_box,
    in_order,
    require_one_meaning,
)
from tandem.datasets.formats.image_files import ImageFiles, is_hidden
from tandem.datasets.formats.label_files import LabelFiles
from tandem.datasets.formats.text import first_names, load_text, load_yaml, shorten
from tandem.errors import DataError

_PIXELS_FROM = 2.0  # no box is said to reach so far out of the image in fractions; boxes over the edge exist


_YAML, _OWN_YAML = (".yaml", ".yml"), ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LISTS, _NAMES_OF_DARKNET = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt"), ".names"
# A name with its number, in all lines of a list: `0 Bus`, `0: Bus`, `0. Bus`, `0,Bus`; `Bus,0`.
_NUMBERED = (
    re.compile(r"(?P<number>\d+)\s*[\s:;,.)=]\s*(?P<name>.*\S)"),
    re.compile(r"(?P<name>.*\S)\s*[,;\t]\s*(?P<number>\d+)"),
)
_HAS_NAMES = re.compile(r"""^\s*['"]?names['"]?\s*:""", re.MULTILINE)


class _ClassNames(NamedTuple):
    """What `path` names. has_keypoints: label lines go on after the box with points that are no polygon."""

    path: Path
    by_index: Mapping[int, str]
    has_keypoints: bool


class _Line(NamedTuple):
    """Index of the class, and the box as far as it lies in the image; a text: see boxed. where: for messages.

    class_index: None for a line that names no class.
    """

    where: str
    class_index: int | None
    box: Box | str | None


def matches(root: Path) -> bool:
    """Whether names of classes lie in the folder, and at least one image has a file of labels."""
    if not any(_candidates(root)):
        return False
    try:
        return LabelFiles(root, ImageFiles(root).paths).are_labels()
    except DataError:  # which read says again
        return True


def read(root: Path) -> list[Annotation]:
    """One annotation a box, one with label "" for an image without boxes; by path, then box. Images stay unopened.

    The paths of images in a data.yaml are not used: exports carry paths of other machines. Boxes are clipped to the
    image; one of which nothing is left, labels whose image is missing, and a line that is no box or polygon in
    fractions of the image or of an unknown class, are annotations that say so. Raises DataError for a folder without
    names or without label files, and for a name that two classes in use share.
    """
    names = _read_names(root)
    images = ImageFiles(root).paths
    labels = LabelFiles(root, images)
    lines_of = {path: _lines(root / file, names) if (file := labels.of(path)) else None for path in images}
    if images and all(lines is None for lines in lines_of.values()):
        raise DataError(
            f"{root}: none of the {len(images)} images has a file of labels; looked for that of {images[0]!r} at "
            f"{first_names(labels.places(images[0]))}; put them there, or correct the source's format"
        )
    used = {line.class_index for lines in lines_of.values() for line in lines or ()}
    in_use = {index: name for index, name in names.by_index.items() if index in used}
    require_one_meaning(names.path, "classes", "name", in_use)
    found = [each for path, lines in lines_of.items() for each in _annotations_of(path, lines, names, labels)]
    return in_order([*found, *labels.without_image()])


def _annotations_of(
    path: str, lines: list[_Line] | None, names: _ClassNames, labels: LabelFiles
) -> Iterator[Annotation]:
    if not lines:
        places = first_names(labels.places(path), most=2)
        yield Annotation(path, "", detail=f"no file of labels at {places}" if lines is None else "its labels are empty")
    for line in lines or ():
        label = "" if line.class_index is None else names.by_index[line.class_index]
        yield boxed(path, label, line.box, where=line.where)


def _lines(path: Path, names: _ClassNames) -> list[_Line]:
    lines = []
    try:
        text = load_text(path)
    except DataError as error:
        return [_Line("", None, str(error))]
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{path}, line {number}: {shorten(line)}"
            lines.append(_Line(where, *_class_and_box(line, names)))
    return lines


def _class_and_box(line: str, names: _ClassNames) -> tuple[int | None, Box | str | None]:
    try:
        index, *values = map(float, line.split())
    except ValueError:
        return None, "is not a line of numbers"
    if not all(map(math.isfinite, (index, *values))):
        return None, "is not a line of numbers"
    if index not in names.by_index:
        known = ", ".join(f"{key} {name}" for key, name in [*names.by_index.items()][:20])
        return None, f"has class {index:g}, which {names.path} does not name ({known})"
    return int(index), _box(values, names.has_keypoints)


def _box(values: list[float], has_keypoints: bool) -> Box | str | None:
    """The box of a line of center and size (and perhaps a confidence), or the one around a polygon's points."""
    if len(values) in (4, 5) or (has_keypoints and len(values) > 5):
        x, y, width, height = values[:4]
        if width < 0 or height < 0:
            return "has a box with a side below 0"
        box = clip_box(left=x - width / 2, top=y - height / 2, right=x + width / 2, bottom=y + height / 2)
        return _unlike_fractions(values[:4]) or box
    if len(values) < 6 or len(values) % 2:
        return f"has {len(values) + 1} values; a box has 5 or 6, a polygon 1 and a pair a point"
    across, down = values[::2], values[1::2]
    box = clip_box(left=min(across), top=min(down), right=max(across), bottom=max(down))
    return _unlike_fractions(values) or box


def _unlike_fractions(values: list[float]) -> str:
    whole = all(value.is_integer() for value in values)
    if max(map(abs, values)) > (1.0 if whole else _PIXELS_FROM):
        return (
            "has values far above 1, like pixels: YOLO states fractions of the image's width and height; divide by "
            "these, or export the labels again"
        )
    return ""


def _read_names(root: Path) -> _ClassNames:
    """The names of the file that lies highest in the folder; a YAML file goes before a list.

    Raises DataError for a folder without one, a file without names, and files of one height that differ.
    """
    ranked = sorted(_candidates(root), key=_rank)
    if not ranked:
        raise DataError(
            f"{root} has no data.yaml or classes.txt with the names of classes, as YOLO exports have; "
            "correct the source's format"
        )
    found = [_names_of(path) for path in ranked if _rank(path)[:-1] == _rank(ranked[0])[:-1]]
    for other in found[1:]:
        if other.by_index != found[0].by_index:
            raise DataError(f"{found[0].path} and {other.path} name different classes; keep the one that is right")
    return found[0]


def _candidates(root: Path) -> Iterator[Path]:
    for path in files.list_files(root):
        name = path.name.lower()
        if is_hidden(path.relative_to(root)):
            continue
        is_yaml = name.endswith(_YAML)
        if (
            name in (*_LISTS, *_OWN_YAML)
            or name.endswith(_NAMES_OF_DARKNET)
            or (is_yaml and _HAS_NAMES.search(path.read_bytes().decode("latin-1")))
        ):
            yield path


def _rank(path: Path) -> tuple[int, int, int, str]:
    name = path.name.lower()
    return (0 if name.endswith(_YAML) else 1, len(path.parts), 0 if name in (*_OWN_YAML, *_LISTS) else 1, str(path))


def _names_of(path: Path) -> _ClassNames:
    if not path.name.lower().endswith(_YAML):
        lines = load_text(path).rstrip().splitlines()
        if blank := [number for number, line in enumerate(lines, start=1) if not line.strip()]:
            raise DataError(
                f"{path}, line {blank[0]} is blank, and a class is the number of its line: remove blank lines, or put "
                "the names into a data.yaml"
            )
        lines = _without_numbers(path, lines)
        return _ClassNames(path, _by_index(path, lines, enumerate(lines)), has_keypoints=False)
    value = load_yaml(path)
    names: Any = value.get("names") if isinstance(value, Mapping) else None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        names = _without_numbers(path, names)
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names if isinstance(names, list) else ())
    return _ClassNames(path, _by_index(path, names, pairs), has_keypoints="kpt_shape" in value)


def _without_numbers(path: Path, names: Sequence[str]) -> list[str]:
    """The names alone, where each is written with its own number, from 0 on; else as they are.

    Raises DataError for numbers from 1 on: of label files that count from 0 each would be the class before.
    """
    for pattern in _NUMBERED:
        matched = [match for name in names if (match := pattern.fullmatch(name.strip()))]
        numbers, bare = [int(match["number"]) for match in matched], [match["name"] for match in matched]
        first = numbers[0] if numbers else -1
        if len(matched) == len(names) == len(set(bare)) and numbers == list(range(first, first + len(names))):
            if first == 0:
                return bare
            if first == 1 and len(names) > 1:
                raise DataError(
                    f"{path} numbers its classes from 1 ({first_names(names, most=2)}), and YOLO from 0: write the "
                    "numbers that the label files have, or the names alone"
                )
    return list(names)


def _by_index(path: Path, names: object, pairs: Any) -> dict[int, str]:
    """Raises DataError that shows `names` where its pairs are not a whole number and a text each."""
    by_index: dict[int, str] = {}
    for key, name in pairs:
        if not str(key).isdecimal() or not isinstance(name, str) or not name.strip() or len(str(key)) > 9:
            by_index.clear()
            break
        if by_index.setdefault(int(key), name.strip()) != name.strip():
            raise DataError(
                f"{path} names class {int(key)} twice: {by_index[int(key)]!r} and {name!r}; keep the one that is right"
            )
    if not by_index:
        raise DataError(f"{path} has no list of names ({shorten(names)}); add `names: [first, second]` to it")
    return by_index
