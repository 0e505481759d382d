"""YOLO detection exports: a `data.yaml` with the names, images below `images`, boxes in text files below `labels`."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tandem import files
from tandem.datasets.formats.annotations import Annotation, Box, clip_box, export_roots
from tandem.errors import DataError
from tandem.images.signatures import is_image_file


class _Names(NamedTuple):
    """Class names of a data.yaml. has_keypoints: label lines go on after the box with points that are no polygon."""

    path: Path
    by_index: Mapping[int, str]
    has_keypoints: bool


def matches(root: Path) -> bool:
    """Whether a data.yaml lies in the folder, or in its only subfolder, with images below some `images`."""
    return _data_yaml(root) is not None and any(_images(root))


def read(root: Path) -> list[Annotation]:
    """One annotation a box, one with label "" for an image without boxes; by path, then box. Images stay unopened.

    The paths of images in data.yaml are not used: exports carry paths of other machines. Boxes are clipped to the
    image, and dropped where nothing is left. Raises DataError for a data.yaml without names and for a label line that
    is no box or polygon, or of an unknown class.
    """
    data_yaml = _data_yaml(root)
    if data_yaml is None:
        raise DataError(f"{root} has no data.yaml, as YOLO exports have; correct the source's format")
    names = _names(data_yaml)
    return [annotation for path in _images(root) for annotation in _annotations_of(root, path, names)]


def _data_yaml(root: Path) -> Path | None:
    return next((path for base in export_roots(root) if (path := base / "data.yaml").is_file()), None)


def _names(path: Path) -> _Names:
    try:
        value = YAML(typ="safe", pure=True).load(path.read_bytes())
    except (YAMLError, ValueError) as error:
        raise DataError(f"{path} is not valid YAML ({error}); correct it, or get the source again") from None
    names: Any = value.get("names") if isinstance(value, Mapping) else None
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names if isinstance(names, list) else ())
    try:
        by_index = {int(index): str(name) for index, name in pairs}
    except (TypeError, ValueError):
        by_index = {}
    if not by_index:
        raise DataError(f"{path} has no list of names ({names!r}); add `names: [first, second]` to it")
    return _Names(path, by_index, has_keypoints="kpt_shape" in value)


def _images(root: Path) -> Iterator[str]:
    """Relative POSIX paths, sorted."""
    for path in files.list_files(root):
        relative = path.relative_to(root)
        is_below_images = "images" in relative.parts[:-1] and not relative.name.startswith(".")
        if is_below_images and is_image_file(path):
            yield relative.as_posix()


def _annotations_of(root: Path, path: str, names: _Names) -> list[Annotation]:
    labels_path = root / _labels_path(path)
    if not labels_path.is_file():
        return [Annotation(path, "")]
    text = labels_path.read_bytes().decode("utf-8-sig", errors="replace")
    boxes = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{labels_path}, line {number}: {line!r}"
        values = _numbers(where, line)
        box = _box(where, values[1:], names.has_keypoints)
        if box:
            boxes.add((box, _label(where, values[0], names)))
    return [Annotation(path, label, box) for box, label in sorted(boxes)] or [Annotation(path, "")]


def _labels_path(path: str) -> str:
    """`train/images/1.jpg` to `train/labels/1.txt`, `images/train/1.jpg` to `labels/train/1.txt`."""
    pure = PurePosixPath(path)
    last = max(index for index, part in enumerate(pure.parts[:-1]) if part == "images")
    parts = (*pure.parts[:last], "labels", *pure.parts[last + 1 :])
    return str(PurePosixPath(*parts).with_suffix(".txt"))


def _numbers(where: str, line: str) -> list[float]:
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise DataError(f"{where} is not a line of numbers; correct or remove it")
    return values


def _label(where: str, index: float, names: _Names) -> str:
    if index not in names.by_index:
        known = ", ".join(f"{key} {name}" for key, name in names.by_index.items())
        raise DataError(f"{where} has class {index:g}, which {names.path} does not name ({known}); correct one of them")
    return names.by_index[int(index)]


def _box(where: str, values: list[float], has_keypoints: bool) -> Box | None:
    """The box of a line of center and size (and perhaps a confidence), or the one around a polygon's points."""
    if len(values) in (4, 5) or (has_keypoints and len(values) > 5):
        x, y, width, height = values[:4]
        return clip_box(left=x - width / 2, top=y - height / 2, right=x + width / 2, bottom=y + height / 2)
    if len(values) < 6 or len(values) % 2:
        raise DataError(f"{where} has {len(values) + 1} values; a box has 5 or 6, a polygon 1 and a pair a point")
    across, down = values[::2], values[1::2]
    return clip_box(left=min(across), top=min(down), right=max(across), bottom=max(down))
