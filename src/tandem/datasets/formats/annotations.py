"""What every format reads: labelled images or labelled boxes of images, none of them opened."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from tandem.errors import DataError

# Why an annotation is not used, in one word.
NO_IMAGE = "no_image"  # its image is not there
EMPTY_BOX = "empty_box"  # nothing of its box lies in the image
NO_BOX = "no_box"  # others of its image have a box
MISSING_LABEL = "missing_label"  # its label is a word for none, unless the label map names it
BAD_ANNOTATION = "bad_annotation"  # its box is impossible, or it cannot be read

_MAX_LABEL = 500  # letters
# What pandas.read_csv reads as no value (its default `na_values`), and so writes for none in other tools' tables.
_WORDS_FOR_NONE = frozenset((
    "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na", "nan", "none",
    "null",
))  # fmt: skip


class Box(NamedTuple):
    """A rectangle in fractions of the image's width and height, origin at the top left.

    All four are in [0, 1] once a format has clipped them; width and height are > 0.
    """

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Annotation:
    """One labelled image, or one labelled box of an image.

    path: POSIX path relative to the source's folder. label: as the source wrote it; "" when the source states none
    (a detection image without boxes). box: None for a whole image. reason: one word why this is excluded, "" where
    it is not. detail: for people, why it is excluded or why there is no label.
    """

    path: str
    label: str
    box: Box | None = None
    reason: str = ""
    detail: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.path.startswith("/") or ".." in self.path.split("/"):
            raise DataError(f"the path {self.path!r} of an image must lie inside its source's folder; correct it there")
        if len(self.label) > _MAX_LABEL:
            raise DataError(
                f"the image {self.path!r} has a label of {len(self.label)} letters, {self.label[:40]!r} ...; a "
                f"quote may be open; at most {_MAX_LABEL} are allowed"
            )


def clip_box(*, left: float, top: float, right: float, bottom: float) -> Box | None:
    """The part of a box, in fractions of the image's sides, that lies in the image; None for no part."""
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in (left, top, right, bottom))
    return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


def boxed(path: str, label: str, box: Box | str | None, *, where: str) -> Annotation:
    """The annotation of a box; one that is excluded where the box is a text, which says what is wrong with it, or None.

    None: nothing of the box lies in the image. where: the file and place that state it, for people.
    """
    if isinstance(box, str):
        return bad_annotation(path, f"{where} {box}".lstrip(), label=label)
    if box is None:
        return Annotation(path, label, None, EMPTY_BOX, f"{where}: nothing of the box lies in the image")
    return Annotation(path, label, box)


def bad_annotation(path: str, problem: str, *, label: str = "") -> Annotation:
    """An annotation that cannot be used: it is counted, and what else the source states is read.

    path: of the image, or of the file that states it. problem: where it stands and what is wrong with it.
    """
    return Annotation(path, label, None, BAD_ANNOTATION, problem)


def mark_missing(annotation: Annotation) -> Annotation:
    """The same, excluded where its label is a word for none: of tables and files that tools fill, never of folders."""
    if annotation.reason or annotation.label.strip().casefold() not in _WORDS_FOR_NONE:
        return annotation
    detail = f"the label {annotation.label!r} stands for none, unless `labels` names it"
    where = f"{annotation.detail}: " if annotation.detail else ""
    return replace(annotation, reason=MISSING_LABEL, detail=f"{where}{detail}")


def in_order(annotations: Iterable[Annotation]) -> list[Annotation]:
    """By path, then box; what states the same twice once, but for what is excluded, each of which is counted."""
    distinct = {(each, each.detail if each.reason else ""): each for each in annotations}
    return sorted(distinct.values(), key=lambda each: (each.path, each.reason, each.box or (), each.label))


def require_one_meaning(where: object, keys: str, values: str, meaning: Mapping[Any, str]) -> None:
    """Raise DataError where two keys mean the same; `keys` and `values` are the message's words for them."""
    key_of: dict[str, Any] = {}
    for key, value in meaning.items():
        other = key_of.setdefault(value, key)
        if other != key:
            raise DataError(
                f"{where}: the {keys} {str(other)[:80]!r} and {str(key)[:80]!r} have the same {values} {value[:80]!r}, "
                "and both are used; give each its own"
            )


def pixel_box(edges: Iterable[object], *, width: object, height: object) -> Box | None:
    """(left, top, right, bottom) in pixels to fractions of an image of this size, clipped; None for no part of it.

    Raises ValueError for what is no number or not finite, for edges in the wrong order and for an image without area.
    """
    left, top, right, bottom, across, down = (_number(value) for value in (*edges, width, height))
    if right < left or bottom < top or across <= 0 or down <= 0:
        raise ValueError("sides below 0")
    return clip_box(left=left / across, top=top / down, right=right / across, bottom=bottom / down)


def are_fractions(edges: Iterable[object]) -> bool:
    """Whether edges or sides that should be in pixels are fractions of an image: none beyond 1, and one inside.

    What is no number does not count: that is for pixel_box to say.
    """
    values = [number for value in edges if (number := _number_or_none(value)) is not None]
    return bool(values) and max(values) <= 1 and any(0 < value < 1 for value in values)


def _number_or_none(value: object) -> float | None:
    try:
        return _number(value)
    except (ValueError, OverflowError):
        return None


def _number(value: object) -> float:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise ValueError("no number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def export_roots(folder: Path) -> list[Path]:
    """Where an export may begin: the folder itself, then its only subfolder, if it has just one."""
    subfolders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    return [folder, *(subfolders if len(subfolders) == 1 else [])]
