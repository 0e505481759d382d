"""`sources` in params.yaml: where images come from."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tandem.types import Count, Fraction, Hint, Matching, Section, Seed, Sha256

_PINNED = "a whole number from 1 on is needed, so that the same data comes again; look it up at "
_TWO_NAMES = Matching(r"^\w[\w-]*/\w[\w.-]*$")

SourceKind = Literal["sample", "archive", "kaggle", "roboflow"]
DatasetFormat = Literal["auto", "class_folders", "roboflow_folder", "yolo", "coco"]


@dataclass(frozen=True)
class SampleSource(Section):
    """The synthetic sample, generated from a seed, in the style of a Kaggle set or of a Roboflow export."""

    style: Literal["kaggle", "roboflow"]
    seed: Seed


@dataclass(frozen=True)
class ArchiveSource(Section):
    """A local zip, tar or folder. sha256: of the archive; None takes any."""

    path: str
    sha256: Sha256 | None = None


@dataclass(frozen=True)
class KaggleSource(Section):
    """A dataset of kaggle.com, "owner/slug". sha256: of the archive; None takes any."""

    dataset: Annotated[str, _TWO_NAMES, Hint("write it as owner/slug, the end of its page's address")]
    version: Annotated[
        Count, Hint(f"{_PINNED}https://www.kaggle.com/datasets/{{dataset}}: the Data Explorer there names it")
    ]
    sha256: Sha256 | None = None


@dataclass(frozen=True)
class RoboflowSource(Section):
    """A version of a project of roboflow.com, "workspace/project". tree_sha256: of the files; None takes any."""

    project: Annotated[str, _TWO_NAMES, Hint("write it as workspace/project, the end of its page's address")]
    version: Annotated[
        Count, Hint(f"{_PINNED}https://universe.roboflow.com/{{project}}: it ends the address of each version's page")
    ]
    format: Annotated[str, Matching("^[A-Za-z0-9_-]+$")]
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
    """One source. The key named like its kind describes it; boxes: for an object detection export."""

    kind: SourceKind
    format: DatasetFormat
    sample: SampleSource | None = None
    archive: ArchiveSource | None = None
    kaggle: KaggleSource | None = None
    roboflow: RoboflowSource | None = None
    boxes: BoxPolicy | None = None

    def __post_init__(self) -> None:
        described = sorted(kind for kind in DESCRIPTIONS if getattr(self, kind) is not None)
        if described != [self.kind]:
            raise ValueError(f"kind {self.kind} needs the key {self.kind}, and no other kind's; it has {described}")

    @property
    def description(self) -> SampleSource | ArchiveSource | KaggleSource | RoboflowSource:
        """What the key of its kind says."""
        return getattr(self, self.kind)


DESCRIPTIONS = ("sample", "archive", "kaggle", "roboflow")
