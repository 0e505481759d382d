"""What lies in a folder or an archive: format, labels, boxes, as the pipeline will read them. No image is opened.

Archives are unpacked into a scratch folder, with the checks of a download; files of a folder are linked, not copied.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from tandem.datasets.examples import SourceAnnotations, resolve_boxes
from tandem.datasets.formats.annotations import BAD_ANNOTATION, MISSING_LABEL, NO_IMAGE, Annotation
from tandem.datasets.formats.class_folders import outer_folders
from tandem.datasets.formats.registry import AUTO, CLASS_FOLDERS, detect_format, passed_over, read_annotations
from tandem.datasets.labels import normalize_label
from tandem.datasets.unclaimed import NESTED_ARCHIVE, unclaimed_files
from tandem.errors import DataError, SourceError
from tandem.files import closest_name
from tandem.images.signatures import is_image_file
from tandem.sources import archive
from tandem.sources.settings import ArchiveSource, BoxPolicy

_ENDINGS = re.compile(r"(\.(zip|tar|tgz|tbz2|txz|gz|bz2|xz))+$", re.IGNORECASE)
_MAX_NAME = 60  # letters of a source's name
_MAX_MIXED = 0.05  # of the images of a detection export, with which it is still read as whole images
_MARGIN, _MIN_CROP_PX = 0.1, 32


@dataclass(frozen=True)
class InspectedSource:
    """One source. path: absolute. sha256: of an archive, None for a folder. root: where its files can be read now.

    annotations: all of them, each of a whole image or a crop as `boxes` wants. boxes_reason: why they are read so.
    beside: lines on what is not read of it, for people.
    """

    name: str
    path: Path
    sha256: str | None
    format: str
    root: Path
    annotations: Sequence[Annotation]
    boxes: BoxPolicy | None = None
    boxes_reason: str = ""
    beside: tuple[str, ...] = ()

    @property
    def labels(self) -> Counter[str]:
        """Label -> number of its images or crops, the most frequent first."""
        used = {(each.path, each.box, each.label) for each in self.annotations if each.label and not each.reason}
        counts = Counter(label for _, _, label in used)
        return Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))

    @property
    def unlabelled(self) -> list[Annotation]:
        """Images of which nothing says what they show."""
        return [each for each in self.annotations if each.reason == MISSING_LABEL or not (each.label or each.reason)]

    @property
    def num_images(self) -> int:
        """Of all images that are there, with or without a label."""
        paths = {each.path for each in self.annotations if each.reason not in (NO_IMAGE, BAD_ANNOTATION)}
        # of those that cannot be used, some name the file that states them
        return len(paths | {each.path for each in self.bad if is_image_file(self.root / each.path)})

    @property
    def mixed(self) -> list[str]:
        """Whole images with several labels, sorted."""
        labels = dict[str, set[str]]()
        for each in self.annotations:
            if each.label and not each.reason and not self.boxes:
                labels.setdefault(each.path, set()).add(normalize_label(each.label))
        return sorted(path for path, found in labels.items() if len(found) > 1)

    @property
    def bad(self) -> list[Annotation]:
        """Annotations that cannot be used."""
        return [each for each in self.annotations if each.reason == BAD_ANNOTATION]

    @property
    def without_image(self) -> list[Annotation]:
        """Labels of images that are not there."""
        return [each for each in self.annotations if each.reason == NO_IMAGE]


def inspect_sources(paths: Iterable[Path], scratch: Path) -> list[InspectedSource]:
    """What lies at each path. scratch: an empty folder for what is unpacked.

    Raises SourceError for a path that is missing or no folder, zip or tar, DataError for a layout that is not read;
    both name the path.
    """
    names = dict[str, Path]()
    for path in map(absolute, paths):
        if path in names.values():
            raise DataError(f"{path} is named twice; name it once")
        names[_source_name(path, names)] = path
    return [_inspect(name, path, scratch / name) for name, path in names.items()]


def absolute(path: Path) -> Path:
    """Without `~` and `..`; links stay."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  # resolve() would follow links


def _source_name(path: Path, taken: Mapping[str, object]) -> str:
    """The name of a source by that of its file or folder, in letters that a name in params.yaml may have."""
    plain = unicodedata.normalize("NFKD", _ENDINGS.sub("", path.name)).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").lower()[:_MAX_NAME] or "images"
    others = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in others if other not in taken)


def _inspect(name: str, path: Path, folder: Path) -> InspectedSource:
    folder.mkdir(parents=True)
    digest = _make_readable(path, folder)
    try:
        format_name = detect_format(folder)
        annotations = read_annotations(folder, format=AUTO)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), str(path))) from None
    # so that messages name what the user knows
    annotations = [replace(each, detail=each.detail.replace(str(folder), str(path))) for each in annotations]
    boxes, reason = _box_policy(annotations)
    resolved = resolve_boxes(name, SourceAnnotations(folder, annotations, boxes))
    beside = (*_columns_beside(folder, format_name), *_files_beside(name, folder, resolved))
    return InspectedSource(name, path, digest, format_name, folder, resolved, boxes, reason, beside)


def _columns_beside(folder: Path, format_name: str) -> Iterator[str]:
    if format_name != CLASS_FOLDERS:
        return
    if outer := outer_folders(folder):
        more = f" and {len(outer) - 4} more" if len(outer) > 4 else ""
        yield f"the labels are the inner folders; those above them are {', '.join(outer[:4])}{more}"
    for table, columns in passed_over(folder).items():
        names = ", ".join(columns)
        yield f"the folders are the labels, and not what {table} says ({names}); if it is, call its column `label`"


def _files_beside(name: str, folder: Path, annotations: Sequence[Annotation]) -> Iterator[str]:
    """Images that are not read, by reason, and each archive."""
    excluded = unclaimed_files(name, folder, {each.path for each in annotations}).excluded
    counts = Counter(each.reason for each in excluded if each.reason != NESTED_ARCHIVE)
    for reason, count in sorted(counts.items()):
        first = next(each for each in excluded if each.reason == reason)
        are = " is" if count == 1 else "s are"
        yield f"{count} image{are} left out ({reason}), the first {first.path}: {first.detail}"
    yield from (each.detail for each in excluded if each.reason == NESTED_ARCHIVE)


def _make_readable(path: Path, folder: Path) -> str | None:
    """Unpack or link what lies at a path. Returns the sha256 of an archive."""
    if not path.exists():
        raise SourceError(f"there is no file or folder {path}; {closest_name(path)}correct what --data names")
    if not path.is_dir():
        return archive.fetch(folder, ArchiveSource(str(path))).sha256
    names, _ = archive.regular_files(path)
    if not names:
        raise SourceError(f"the folder {path} holds no files; fill it, or correct what --data names")
    for name in tqdm(names, f"look into {path.name}", unit="file", disable=None, leave=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path / name)
    return None


def _box_policy(annotations: Sequence[Annotation]) -> tuple[BoxPolicy | None, str]:
    """How boxes are to be read, and why; None without boxes. Images of one class each are read whole."""
    classes = dict[str, set[str]]()
    for each in annotations:
        if each.box and not each.reason:
            classes.setdefault(each.path, set()).add(normalize_label(each.label))
    if not classes:
        return None, ""
    num_mixed, total = sum(len(labels) > 1 for labels in classes.values()), len(classes)
    if not num_mixed:
        return BoxPolicy("whole", 0, _MIN_CROP_PX), "each image holds boxes of one class: it is read as a whole"
    if num_mixed <= _MAX_MIXED * total:
        why = f"all but {num_mixed} of {total} images hold boxes of one class: read as a whole, without these"
        return BoxPolicy("whole", 0, _MIN_CROP_PX), why
    why = f"{num_mixed} of {total} images hold boxes of several classes: each box is an image of its own"
    return BoxPolicy("crop", _MARGIN, _MIN_CROP_PX), why


def described(source: InspectedSource, *, most: int = 12) -> Iterator[str]:
    """Lines on what was found in a source, for people."""
    labels = source.labels.most_common()
    shown = ", ".join(f"{label} {count}" for label, count in labels[:most])
    more = f" and {len(labels) - most} more labels" if len(labels) > most else ""
    yield f"{source.num_images} images, format {source.format}: {shown}{more}"
    if unlabelled := source.unlabelled:
        first = unlabelled[0]
        why = first.detail or "nothing names it"
        yield f"{len(unlabelled)} of them have no label and are left out, the first {first.path} ({why})"
    if mixed := source.mixed:
        are = " has" if len(mixed) == 1 else "s have"
        yield f"{len(mixed)} image{are} labels of several classes, the first {mixed[0]}"
    if missing := source.without_image:
        yield f"{len(missing)} labels are of images that are not there, the first in {missing[0].path}"
    if bad := source.bad:
        yield f"{len(bad)} annotation{'s' if len(bad) > 1 else ''} cannot be used, the first: {bad[0].detail}"
    if source.boxes_reason:
        yield source.boxes_reason
    yield from source.beside
