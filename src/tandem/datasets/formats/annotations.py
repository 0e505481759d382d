"""What every format module yields: labelled images or labelled boxes of images, unopened."""

from dataclasses import dataclass
from typing import NamedTuple

from tandem.errors import DataError


class Box(NamedTuple):
    """A rectangle in shares of the image's width and height, origin at the top left.

    All four lie in [0, 1] once a format has clipped them; width and height are > 0.
    """

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Annotation:
    """One labelled image, or one labelled box of an image, as a source offers it.

    path: POSIX path relative to the source's folder. label: as the source wrote it; "" when the
    source names none (a detection image without boxes). box: None for a whole image.
    """

    path: str
    label: str
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.path.startswith("/") or ".." in self.path.split("/"):
            raise DataError(f"item {self.path!r} must be a path inside its source's folder")
