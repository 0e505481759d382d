"""What every format reads: labelled images or labelled boxes of images, none of them opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tandem.errors import DataError


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
    (a detection image without boxes). box: None for a whole image.
    """

    path: str
    label: str
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.path.startswith("/") or ".." in self.path.split("/"):
            raise DataError(f"the path {self.path!r} of an image must lie inside its source's folder; correct it there")


def clip_box(*, left: float, top: float, right: float, bottom: float) -> Box | None:
    """The part of a box, in fractions of the image's sides, that lies in the image; None for no part."""
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in (left, top, right, bottom))
    return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None


def export_roots(folder: Path) -> list[Path]:
    """Where an export may begin: the folder itself, then its only subfolder, if it has just one."""
    subfolders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    return [folder, *(subfolders if len(subfolders) == 1 else [])]
