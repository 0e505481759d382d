"""The text files of a YOLO export, and which of them is an image's."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from tandem import files
from tandem.datasets.formats.annotations import NO_IMAGE, Annotation
from tandem.datasets.formats.image_files import is_hidden, same_text
from tandem.datasets.formats.text import first_names
from tandem.errors import DataError
from tandem.images.signatures import is_image_file

_IMAGE_FOLDERS = frozenset(("images", "jpegimages", "image", "imgs", "img"))
_NO_LABELS = frozenset(("classes", "predefined_classes"))
_LABEL_LINE = re.compile(rb"(\xef\xbb\xbf)?\s*\d+(\.0*)?([ \t]+-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?){4}", re.IGNORECASE)


class LabelFiles:
    """All text files that may hold labels, and which image each is of. The suffix `.txt` counts in any case.

    An image's file is where exporters put it (see `places`), else the one of its name elsewhere that no other has.
    Raises DataError where two files of an image differ, or a file elsewhere could be of two images.
    """

    def __init__(self, root: Path, images: Sequence[str]) -> None:
        relative = (PurePosixPath(path.relative_to(root).as_posix()) for path in files.list_files(root))
        texts = (path for path in relative if path.suffix.lower() == ".txt" and _may_hold_labels(path))
        self._files = [path for path in texts if not is_image_file(root / path)]
        self._root = root
        by_key: dict[str, list[str]] = defaultdict(list)
        by_folded_key: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            key = same_text(str(path.with_suffix("")))
            by_key[key].append(str(path))
            by_folded_key[key.casefold()].append(str(path))
        self._file_of: dict[str, str] = {}
        self._used: set[str] = set()
        for image in images:
            keys = [same_text(str(PurePosixPath(place).with_suffix(""))) for place in self.places(image)]
            found = [file for key in keys for file in by_key.get(key, ())]
            self._take(image, found or [file for key in keys for file in by_folded_key.get(key.casefold(), ())])
        self._take_elsewhere([image for image in images if image not in self._file_of])

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
        """The label file of an image; None for none."""
        return self._file_of.get(image)

    def are_labels(self) -> bool:
        """Whether one of the files that images have lies in a folder `labels`, or holds labels: others are captions."""
        found = map(PurePosixPath, self._file_of.values())
        return any(_is_in_labels(path) or is_label_line(self._root / path) for path in found)

    def _take(self, image: str, found: Sequence[str]) -> None:
        self._used.update(found)
        for other in found[1:]:
            if (self._root / other).read_bytes() != (self._root / found[0]).read_bytes():
                raise DataError(
                    f"{self._root}: the image {image!r} has two files of labels, {found[0]!r} and {other!r}, which "
                    "differ; keep the one that is right"
                )
        if found:
            self._file_of[image] = found[0]

    def _take_elsewhere(self, images: Sequence[str]) -> None:
        by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            if str(path) not in self._used and (_is_in_labels(path) or is_label_line(self._root / path)):
                by_stem[same_text(path.stem).casefold()].append(str(path))
        claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for image in images:
            stem = same_text(PurePosixPath(image).stem).casefold()
            nearness = {file: _common_folders(image, file) for file in by_stem.get(stem, ())}
            for file in (file for file, near in nearness.items() if near == max(nearness.values())):
                claims[file].append((nearness[file], image))
        for file, claiming in claims.items():
            nearest = [image for near, image in claiming if near == max(claiming)[0]]
            if len(nearest) > 1:
                raise DataError(
                    f"{self._root}: the labels {file!r} could be of {first_names(nearest)}; put them into a folder "
                    "`labels` that is divided as `images` is"
                )
            self._take(nearest[0], [*filter(None, [self._file_of.get(nearest[0])]), file])

    def without_image(self) -> Iterator[Annotation]:
        """Files beside others of labels, or in a folder `labels`, that no image has taken so far."""
        folders = {PurePosixPath(path).parent for path in self._used}
        for path in self._files:
            in_labels = _is_in_labels(path) or (path.parent in folders and is_label_line(self._root / path))
            if in_labels and str(path) not in self._used:
                yield Annotation(str(path), "", None, NO_IMAGE, "labels of an image that is not there")


def is_label_line(path: Path) -> bool:
    """Whether a text file begins with the index of a class, which may be written `0.0`, and four numbers."""
    with path.open("rb") as file:
        return bool(_LABEL_LINE.match(file.read(512)))


def _is_in_labels(path: PurePosixPath) -> bool:
    return any(part.lower() == "labels" for part in path.parts[:-1])


def _common_folders(one: str, other: str) -> int:
    """How many of the folders nearest above two files have the same names."""
    pairs = zip(reversed(PurePosixPath(one).parts[:-1]), reversed(PurePosixPath(other).parts[:-1]), strict=False)
    return len(list(takewhile(lambda pair: pair[0].casefold() == pair[1].casefold(), pairs)))


def _may_hold_labels(path: PurePosixPath) -> bool:
    name = path.stem.lower()
    return not is_hidden(path) and name not in _NO_LABELS and not name.startswith(("readme", "license"))
