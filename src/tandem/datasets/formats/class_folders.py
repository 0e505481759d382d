"""Images in folders named after their labels, split folders anywhere above or below. Roboflow's `folder` too."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import Annotation

NAME = "class_folders"

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic")
)
_SEG_SPLITS = ("seg_train", "seg_test", "seg_pred")  # of the six scenes' publisher
_SPLITS = {"train", "training", "valid", "val", "validation", "dev", "test", "testing", "images", *_SEG_SPLITS}
_PAPERS = frozenset(("readme", "license", "licence", "copying", "notice", "authors", "changelog"))


class _Place(NamedTuple):
    """Where a file lies. folders: those above it that are no splits. direct: whether the last one holds it."""

    path: str
    folders: tuple[str, ...]
    direct: bool
    has_suffix: bool

    @property
    def label(self) -> str:
        return self.folders[-1] if self.folders else ""


def matches(root: Path) -> bool:
    """Whether at least one image lies in a folder that is no split."""
    return any(item.label for item in items(root))


def items(root: Path) -> list[Annotation]:
    """One item an image, by path. Label: the nearest folder above it that is no split, "" where there is none.

    A folder with class folders below it does not lend its name to the images of its splits: in `set/train/car/1.jpg`
    and `set/test/2.jpg` the second has no label. A file without extension is taken for an image inside a class
    folder only. Nothing is opened.
    """
    places = [place for path in files.list_files(root) if (place := _place(path.relative_to(root).as_posix()))]
    distinct = {place.folders for place in places}
    wrappers = {folders[:depth] for folders in distinct for depth in range(len(folders))}
    labelled = ((place, place.label if place.direct or place.folders not in wrappers else "") for place in places)
    return [Annotation(place.path, label) for place, label in labelled if label or place.has_suffix]


def _place(path: str) -> _Place | None:
    """None for what is no image by its name."""
    pure = PurePosixPath(path)
    suffix = pure.suffix.lower()
    if pure.name.startswith(".") or "__MACOSX" in pure.parts or pure.name.lower() in _PAPERS:
        return None
    if suffix and suffix not in IMAGE_SUFFIXES:
        return None
    above = pure.parts[:-1]
    folders = tuple(folder for folder in above if folder.lower() not in _SPLITS)
    return _Place(path, folders, direct=above[-1:] == folders[-1:], has_suffix=bool(suffix))
