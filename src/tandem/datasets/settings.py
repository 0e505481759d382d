"""`ingest`, `labels` and `merge` in params.yaml: which images are read, and what the labels of sources mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen

from tandem.types import Count, Fraction, NotEmpty, Section

LabelMatch = Literal["folded", "exact"]


@dataclass(frozen=True)
class LabelsOfSource(Section):
    """Aliases that hold in one source alone, and labels of it that are ignored."""

    classes: Mapping[str, tuple[str, ...]]
    ignore: tuple[str, ...]


@dataclass(frozen=True)
class LabelSettings(Section):
    """classes: class -> its aliases. ignore: labels that are ignored. by_source: what holds in one source alone.

    match: "folded" compares labels without case, accents, "_" and "-"; "exact" as they are written.
    """

    classes: Annotated[Mapping[NotEmpty, tuple[str, ...]], MinLen(2)]
    ignore: tuple[str, ...]
    by_source: Mapping[str, LabelsOfSource]
    match: LabelMatch = "folded"


@dataclass(frozen=True)
class IngestSettings(Section):
    """Images of a shorter side below min_side_px or of more than max_pixels are excluded.

    max_side_px: of the longer side of what is stored; larger images are scaled down to it. None keeps every size.
    """

    min_side_px: Count
    max_pixels: Count
    max_side_px: Count | None


@dataclass(frozen=True)
class MergeSettings(Section):
    """max_corrupt_fraction: of the files that may be corrupt, and of each source's annotations that may be unusable.
    With more the stage fails.

    Whole images that IngestSettings excludes by their size are not corrupt.
    """

    max_corrupt_fraction: Fraction
