"""`sources` in params.yaml: where images come from."""

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tandem.types import Count, Fraction, Hint, Matching, Section, Seed, Sha256

PINS = ("sha256", "tree_sha256")  # optional keys that pin a source's bytes

_PINNED = "a whole number from 1 on is needed, so that the same data comes again; look it up at "
_TWO_NAMES = Matching(r"\w[\w-]*/\w[\w.-]*", "two names with a / between them")
_OF_KAGGLE, _OF_ROBOFLOW = (
    Hint(f"write it as {names}, the end of its page's address") for names in ("owner/slug", "workspace/project")
)
_KIND_WORDS = dict.fromkeys(("folder", "directory", "dir", "path", "local", "file", "disk", "zip", "tar"), "archive")
_KIND_WORDS |= {"roboflow_universe": "roboflow", "universe": "roboflow", "synthetic": "sample", "generated": "sample"}

SampleStyle = Literal["kaggle", "roboflow"]


@dataclass(frozen=True)
class SampleSource(Section):
    """The synthetic sample, generated from a seed, in the style of a Kaggle set or of a Roboflow export."""

    style: SampleStyle
    seed: Seed


@dataclass(frozen=True)
class ArchiveSource(Section):
    """A local zip, tar or folder, or the address of a zip or tar in an object store, such as s3://bucket/key.zip.

    sha256: of the archive, or of the folder's tree; None takes any.
    """

    path: str
    sha256: Sha256 | None = None

    @property
    def is_address(self) -> bool:
        """Whether it lies in an object store."""
        return re.match("[a-z][a-z0-9+.-]*://", self.path) is not None

    @property
    def location(self) -> Path:
        """The path, `~` being the user's home as in a shell: that of a user who is not known here stays as it is."""
        return Path(os.path.expanduser(self.path))  # noqa: PTH111  # that of pathlib raises a RuntimeError there


@dataclass(frozen=True)
class KaggleSource(Section):
    """A dataset of kaggle.com, "owner/slug". sha256: of the archive; None takes any."""

    dataset: Annotated[str, _TWO_NAMES, _OF_KAGGLE]
    version: Annotated[
        Count, Hint(f"{_PINNED}https://www.kaggle.com/datasets/{{dataset}}: the Data Explorer there names it")
    ]
    sha256: Sha256 | None = None


@dataclass(frozen=True)
class RoboflowSource(Section):
    """A version of a project of roboflow.com, "workspace/project", in a format of its export.

    format: in Roboflow's words, folder, coco, yolov8, ... tree_sha256: of the files; None takes any.
    """

    project: Annotated[str, _TWO_NAMES, _OF_ROBOFLOW]
    version: Annotated[
        Count, Hint(f"{_PINNED}https://universe.roboflow.com/{{project}}: it ends the address of each version's page")
    ]
    format: Annotated[str, Matching("[A-Za-z0-9_-]+", "Roboflow's word for a format of its export")]
    tree_sha256: Sha256 | None = None


@dataclass(frozen=True)
class BoxPolicy(Section):
    """How an object detection export is read. use: "whole" images (all boxes of one class) or a "crop" of each box.

    margin: fraction of the box's sides added on each side. min_side_px: smaller crops are excluded.
    """

    use: Literal["whole", "crop"]
    margin: Fraction
    min_side_px: Count


@dataclass(frozen=True)
class Source(Section):
    """One source. kind: one of sources.kinds; the key of that name describes the source.

    format: how the files lie on disk, "auto" or one of datasets.formats.registry. boxes: for an object detection
    export.
    """

    kind: str
    format: str
    sample: SampleSource | None = None
    archive: ArchiveSource | None = None
    kaggle: KaggleSource | None = None
    roboflow: RoboflowSource | None = None
    boxes: BoxPolicy | None = None

    def __post_init__(self) -> None:
        kinds = [field.name for field in fields(self) if field.name not in ("kind", "format", "boxes")]
        if self.kind not in kinds:
            raise ValueError(
                f"kind is {self.kind!r}; one of these is needed: {', '.join(kinds)}{_kind_advice(self.kind)}"
            )
        described = sorted(kind for kind in kinds if getattr(self, kind) is not None)
        if described != [self.kind]:
            raise ValueError(f"kind {self.kind} needs the key {self.kind}, and no other kind's; it has {described}")

    @property
    def description(self) -> Any:
        """What the key of its kind says: a SampleSource for the kind sample, and so on."""
        return getattr(self, self.kind)


def _kind_advice(kind: str) -> str:
    """What to write instead of a kind that there is not."""
    word = _KIND_WORDS.get(kind.lower().replace("-", "_"), kind.lower())
    if word == "archive":
        return "; for a zip, a tar or a folder write `kind: archive` and `archive: {path: ...}`"
    if word in ("kaggle", "roboflow", "sample"):
        return f"; write `kind: {word}`"
    return "; files from elsewhere are downloaded by hand, and are a source of `kind: archive`"
