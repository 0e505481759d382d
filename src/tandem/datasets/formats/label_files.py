"""The text files of a YOLO export, and which of them is an image's."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tandem import files
from tandem.datasets.formats.annotations import Annotation
from tandem.datasets.formats.image_files import is_hidden, same_text
from tandem.errors import DataError
from tandem.images.signatures import is_image_file

_IMAGE_FOLDERS = frozenset(("images", "jpegimages", "image", "imgs", "img"))
_NO_LABELS = frozenset(("classes", "predefined_classes"))
_LABEL_LINE = re.compile(rb"\s*\d+([ \t]+-?\d*\.?\d+(e-?\d+)?){4}", re.IGNORECASE)


class LabelFiles:
    """All text files that may hold labels, by their path without suffix. The suffix counts in any case."""

    def __init__(self, root: Path) -> None:
        relative = (PurePosixPath(path.relative_to(root).as_posix()) for path in files.list_files(root))
        texts = (path for path in relative if path.suffix.lower() == ".txt" and _may_hold_labels(path))
        self._files = [path for path in texts if not is_image_file(root / path)]
        self._root = root
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_folded_key: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            key = same_text(str(path.with_suffix("")))
            self._by_key[key].append(str(path))
            self._by_folded_key[key.casefold()].append(str(path))
        self._used: set[str] = set()

    def places(self, image: str) -> list[str]:
        """Where the labels of an image are searched, the likeliest place first."""
        pure = PurePosixPath(image).with_suffix(".txt")
        places = [
            PurePosixPath(*pure.parts[:depth], "labels", *pure.parts[depth + 1 :])
            for depth in reversed(range(len(pure.parts) - 1))
            if pure.parts[depth].lower() in _IMAGE_FOLDERS or pure.parts[depth] == "data"
        ]
        return list(dict.fromkeys(map(str, (*places, pure))))

    def of(self, image: str) -> str | None:
        """The label file of an image; None for none. Raises DataError where two files of it differ."""
        keys = [same_text(str(PurePosixPath(place).with_suffix(""))) for place in self.places(image)]
        found = [file for key in keys for file in self._by_key.get(key, ())]
        found = found or [file for key in keys for file in self._by_folded_key.get(key.casefold(), ())]
        found = found or self._in_one_folder(PurePosixPath(image))
        self._used.update(found)
        for other in found[1:]:
            if (self._root / other).read_bytes() != (self._root / found[0]).read_bytes():
                raise DataError(
                    f"{self._root}: the image {image!r} has two files of labels, {found[0]!r} and {other!r}, which "
                    "differ; keep the one that is right"
                )
        return found[0] if found else None

    def _in_one_folder(self, image: PurePosixPath) -> list[str]:
        """The label file in a folder `labels` above or beside the image that is not divided as the images are."""
        keys = (same_text(str(parent / "labels" / image.stem)) for parent in image.parents)
        return next((self._by_key[key] for key in keys if key in self._by_key), [])[:1]

    def without_image(self) -> Iterator[Annotation]:
        """Files beside others of labels, or in a folder `labels`, that no image has taken so far."""
        folders = {PurePosixPath(path).parent for path in self._used}
        for path in self._files:
            in_labels = any(part.lower() == "labels" for part in path.parts[:-1])
            in_labels = in_labels or (path.parent in folders and is_label_line(self._root / path))
            if in_labels and str(path) not in self._used:
                yield Annotation(str(path), "", None, "no_image", "labels of an image that is not there")


def is_label_line(path: Path) -> bool:
    """Whether a text file begins with the index of a class and four numbers."""
    with path.open("rb") as file:
        return bool(_LABEL_LINE.match(file.read(512)))


def _may_hold_labels(path: PurePosixPath) -> bool:
    name = path.stem.lower()
    return not is_hidden(path) and name not in _NO_LABELS and not name.startswith(("readme", "license"))
