"""Images in folders named after their labels, with split folders anywhere above or below; Roboflow's `folder`, too."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tandem import files
from tandem.datasets.formats.annotations import Annotation
from tandem.datasets.formats.image_files import is_hidden
from tandem.datasets.labels import is_split_name
from tandem.images.signatures import is_image_file

# What exporters and people call the folder that holds everything; FiftyOne puts what has no label into _unlabeled.
_CONTAINERS = {
    "images", "image", "imgs", "img", "jpegimages", "data", "dataset", "datasets", "export", "exports", "competition",
    "set", "archive", "input", "obj_train_data", "obj_valid_data", "obj_test_data",
    "_unlabeled", "seg_pred",
}  # fmt: skip
_NUMBER = re.compile(r"[\s_-]*\d+$")
_TEXT_FILES = frozenset(("readme", "license", "licence", "copying", "notice", "authors", "changelog"))


class _ImageFile(NamedTuple):
    """folders: those above the file that are no splits or containers. is_direct: whether the last holds the file.

    is_image: whether it is an image by its name or content.
    """

    path: str
    folders: tuple[str, ...]
    is_direct: bool
    is_image: bool

    @property
    def label(self) -> str:
        return self.folders[-1] if self.folders else ""


@lru_cache(1024)
def is_split_or_container(folder: str) -> bool:
    """Whether a folder is called as a split or as what holds everything, which is never the label of its images."""
    return folder.casefold() in _CONTAINERS or is_split_name(folder)


def matches(root: Path) -> bool:
    """Whether at least one image lies in a folder that is no split and no container."""
    return any(annotation.label for annotation in read(root))


def read(root: Path) -> list[Annotation]:
    """One annotation an image, by path. Label: the nearest folder above it that is no split and no container, "" where
    there is none.

    A folder with class folders below it is not the label of the images in its splits: in `set/train/car/1.jpg` and
    `set/test/2.jpg` the second has no label. A file without extension is taken for an image inside a class folder
    only, unless its bytes begin as one. So is a file of any other extension known: `1.jpg.1`, `1.jpg_large`.
    """
    images = [image for path in files.list_files(root) if (image := _image_file(root, path))]
    distinct = {image.folders for image in images}
    wrappers = {folders[:depth] for folders in distinct for depth in range(len(folders))}
    labelled = ((image, image.label if image.is_direct or image.folders not in wrappers else "") for image in images)
    return [
        Annotation(image.path, label, detail="" if label else "it lies in no class folder")
        for image, label in labelled
        if label or image.is_image
    ]


def folders_say_it(root: Path, annotations: Iterable[Annotation]) -> bool:
    """Whether the images of these labels lie in two or more class folders, one for each label."""
    folders = {each.path: each.label for each in read(root)}
    pairs = {(folders.get(each.path, ""), each.label) for each in annotations if each.label and not each.reason}
    return len(pairs) >= 2 and len(pairs) == len({folder for folder, _ in pairs} - {""}) == len(
        {label for _, label in pairs}
    )


def outer_folders(root: Path) -> list[str]:
    """The folders right above class folders, sorted, where there are several: the classes could be these as well."""
    labels = {each.path: each.label for each in read(root) if each.label}
    images = [image for path in labels if (image := _image_file(root, root / path)) and len(image.folders) > 1]
    outer = {image.folders[-2] for image in images if image.folders[-1] == labels[image.path]}
    return sorted(outer) if len(outer) > 1 else []


def are_classes(root: Path) -> bool:
    """Whether there are two or more class folders that are not called as the parts of one set, such as `part_1`."""
    labels = {each.label for each in read(root)} - {""}
    bare = {_NUMBER.sub("", label.casefold()) for label in labels}
    return len(labels) >= 2 and (len(bare) >= 2 or bare == {""})


def _image_file(root: Path, file: Path) -> _ImageFile | None:
    """None for what is no image by its name or content."""
    path = file.relative_to(root).as_posix()
    pure = PurePosixPath(path)
    if is_hidden(pure) or pure.name.lower() in _TEXT_FILES:
        return None
    is_image = is_image_file(file)
    if pure.suffix and not is_image:
        return None
    parents = pure.parts[:-1]
    folders = tuple(folder for folder in parents if not is_split_or_container(folder))
    return _ImageFile(path, folders, is_direct=parents[-1:] == folders[-1:], is_image=is_image)
