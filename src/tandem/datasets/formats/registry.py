"""How a source's folder can be laid out: one line for each format, with the module that reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tandem.datasets.formats import class_folders, coco, csv_labels, fiftyone_labels, voc, yolo
from tandem.datasets.formats.annotations import Annotation
from tandem.datasets.formats.foreign import flat_layout, foreign_layout
from tandem.errors import DataError, ParamsError

AUTO, CLASS_FOLDERS = "auto", "class_folders"
_LAY_OUT = "lay it out as one of them, for example a folder for each class"


class Format(Protocol):
    """What the module of each format has."""

    def matches(self, root: Path) -> bool:
        """Whether the folder looks like this format."""
        ...

    def read(self, root: Path) -> list[Annotation]:
        """All annotations of the folder, by path, then box. Raises DataError for what cannot be read."""
        ...


# In the order of detection: a detection export also looks like folders of images.
FORMATS: Mapping[str, Format] = {
    "yolo": yolo,
    "coco": coco,
    "fiftyone": fiftyone_labels,
    "voc": voc,
    "csv": csv_labels,
    CLASS_FOLDERS: class_folders,
    "roboflow_folder": class_folders,  # Roboflow's name for it; only file names differ (tandem.datasets.filenames)
}
# Sets in class folders often come with such files, which then say the same in other words.
_BESIDE_FOLDERS = ("voc", "csv")


def detect_format(root: Path) -> str:
    """The name of the first format that fits the folder. Raises DataError when none does."""
    for name, module in FORMATS.items():
        if module.matches(root) and not (name in _BESIDE_FOLDERS and _folders_say_as_much(root, module)):
            return name
    from tandem.datasets.unclaimed import nested_archives_in_words  # and NumPy, which `check` need not wait for

    what = foreign_layout(root) or nested_archives_in_words(root) or flat_layout(root) or _LAY_OUT
    raise DataError(f"{root} has none of the formats {', '.join(FORMATS)}; it holds {_contents(root)}; {what}")


def require_format(name: str) -> None:
    """Raise ParamsError that lists the formats, unless `name` is one of them or "auto"."""
    if name not in (AUTO, *FORMATS):
        raise ParamsError(f"there is no format {name!r}; known are {', '.join((AUTO, *FORMATS))}")


def read_annotations(root: Path, *, format: str) -> list[Annotation]:
    """The annotations of a folder in one of the formats, or in that which is detected ("auto").

    Raises ParamsError for a format that does not exist, DataError for one that does not fit the folder.
    """
    require_format(format)
    if format == AUTO:
        format = detect_format(root)
        annotations = FORMATS[format].read(root)
        if format == CLASS_FOLDERS:
            _require_own_layout(root, annotations)
        return annotations
    if not FORMATS[format].matches(root):
        what = foreign_layout(root)
        raise DataError(
            f"{root} is not of format {format}; correct it, or say {AUTO}; it holds {_contents(root)}"
            + (f"; {what}" if what else "")
        )
    return FORMATS[format].read(root)


def passed_over(root: Path) -> dict[str, Sequence[str]]:
    """Table -> its columns on images in class folders that could be labels, but that no name says to be any."""
    try:
        return csv_labels.guessed_columns(root) if class_folders.are_classes(root) else {}
    except DataError:
        return {}


def _folders_say_as_much(root: Path, module: Format) -> bool:
    if module is csv_labels and passed_over(root):
        return True
    try:
        return class_folders.folders_say_it(root, module.read(root))
    except DataError:
        return class_folders.matches(root)


def _require_own_layout(root: Path, annotations: Sequence[Annotation]) -> None:
    """Raise DataError where all images have one folder's name for a label, and another layout's files lie beside."""
    labels = {each.label for each in annotations} - {""}
    if len(labels) != 1:
        return
    what = f"{root}: {foreign}" if (foreign := foreign_layout(root)) else _table_problem(root)
    if what:
        raise DataError(f"{what}; if {labels.pop()!r} is the class of all its images, say format: class_folders")


def _table_problem(root: Path) -> str:
    try:
        csv_labels.matches(root) and csv_labels.read(root)
    except DataError as error:
        return str(error)
    return ""


def _contents(root: Path, *, most: int = 8) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
