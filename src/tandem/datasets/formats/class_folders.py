"""Images in folders named after their labels, with split folders anywhere above or below; Roboflow's `folder`, too."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import Annotation
from tandem.images.signatures import is_image_file

_SEG_SPLITS = ("seg_train", "seg_test", "seg_pred")  # of the Intel image set of six scenes
_SPLITS = {"train", "training", "valid", "val", "validation", "dev", "test", "testing", "images", *_SEG_SPLITS}
_TEXT_FILES = frozenset(("readme", "license", "licence", "copying", "notice", "authors", "changelog"))


class _ImageFile(NamedTuple):
    """folders: those above the file that are no splits. is_direct: whether the last of them holds the file itself.

    is_image: whether it is an image by its name or content.
    """

    path: str
    folders: tuple[str, ...]
    is_direct: bool
    is_image: bool

    @property
    def label(self) -> str:
        return self.folders[-1] if self.folders else ""


def matches(root: Path) -> bool:
    """Whether at least one image lies in a folder that is no split."""
    return any(annotation.label for annotation in read(root))


def read(root: Path) -> list[Annotation]:
    """One annotation an image, by path. Label: the nearest folder above it that is no split, "" where there is none.

    A folder with class folders below it is not the label of the images in its splits: in `set/train/car/1.jpg` and
    `set/test/2.jpg` the second has no label. A file without extension is taken for an image inside a class folder
    only, unless its bytes begin as one. So is a file of any other extension known: `1.jpg.1`, `1.jpg_large`.
    """
    images = [image for path in files.list_files(root) if (image := _image_file(root, path))]
    distinct = {image.folders for image in images}
    wrappers = {folders[:depth] for folders in distinct for depth in range(len(folders))}
    labelled = ((image, image.label if image.is_direct or image.folders not in wrappers else "") for image in images)
    return [Annotation(image.path, label) for image, label in labelled if label or image.is_image]


def _image_file(root: Path, file: Path) -> _ImageFile | None:
    """None for what is no image by its name or content."""
    path = file.relative_to(root).as_posix()
    pure = PurePosixPath(path)
    if pure.name.startswith(".") or "__MACOSX" in pure.parts or pure.name.lower() in _TEXT_FILES:
        return None
    is_image = is_image_file(file)
    if pure.suffix and not is_image:
        return None
    parents = pure.parts[:-1]
    folders = tuple(folder for folder in parents if folder.lower() not in _SPLITS)
    return _ImageFile(path, folders, is_direct=parents[-1:] == folders[-1:], is_image=is_image)
