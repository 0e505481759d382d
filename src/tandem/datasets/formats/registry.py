"""Which format a source's folder has, and its items by that format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tandem.datasets.formats import class_folders, coco, yolo
from tandem.datasets.formats.annotations import Annotation
from tandem.errors import DataError, ParamsError

AUTO = "auto"


class Format(Protocol):
    """What every format module offers. items: by path, then box; raises DataError for what cannot be read."""

    def matches(self, root: Path) -> bool:
        """Whether the folder looks like this format."""
        ...

    def items(self, root: Path) -> list[Annotation]:
        """All that the folder labels."""
        ...


# In the order of looking: a detection export also looks like folders of images.
FORMATS: Mapping[str, Format] = {
    yolo.NAME: yolo,
    coco.NAME: coco,
    class_folders.NAME: class_folders,
    "roboflow_folder": class_folders,  # Roboflow's own word for it; only the file names differ (tandem.datasets.filenames)
}


def detect_format(root: Path) -> str:
    """The name of the first format that fits the folder; DataError when none does."""
    for name, module in FORMATS.items():
        if module.matches(root):
            return name
    raise DataError(f"{root} has none of the formats {', '.join(FORMATS)}; it holds {_contents(root)}")


def read_annotations(root: Path, *, format: str) -> list[Annotation]:
    """The items of a folder in a stated format, or "auto".

    Raises ParamsError for a format that does not exist, DataError for one that does not fit the folder.
    """
    if format != AUTO and format not in FORMATS:
        raise ParamsError(f"there is no format {format!r}; known are {', '.join((AUTO, *FORMATS))}")
    if format != AUTO and not FORMATS[format].matches(root):
        raise DataError(f"{root} is not of format {format}; correct it, or say {AUTO}; it holds {_contents(root)}")
    return FORMATS[detect_format(root) if format == AUTO else format].items(root)


def _contents(root: Path, *, most: int = 8) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
