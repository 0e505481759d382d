"""`curate` and `label_errors` in params.yaml."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from tandem.types import PositiveFraction, ProperFraction, Section, Seed, SidePx

HashDistance = Annotated[int, Ge(0), Le(127)]  # Hamming distance of hashes of 256 bits


@dataclass(frozen=True)
class SimilarityThresholds(Section):
    """When two images are similar: by cosine of features, or by Hamming distance of 256-bit perceptual hashes."""

    min_similarity: PositiveFraction
    max_hash_distance: HashDistance


@dataclass(frozen=True)
class CandidateSettings(Section):
    """Which pairs are verified by their pixels: similar ones, and each image with its num_neighbors nearest."""

    min_similarity: PositiveFraction
    max_hash_distance: HashDistance
    num_neighbors: Annotated[int, Ge(0), Le(100)]

    @property
    def thresholds(self) -> SimilarityThresholds:
        """From where on two images are similar."""
        return SimilarityThresholds(self.min_similarity, self.max_hash_distance)


@dataclass(frozen=True)
class SplitFractions(Section):
    """Fraction of the groups in each split; they add up to 1."""

    train: ProperFraction
    val: ProperFraction
    test: ProperFraction

    def __post_init__(self) -> None:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, val and test must add up to 1; they add up to {total:.10g}")

    def by_split(self) -> dict[str, float]:
        """Split -> its fraction."""
        return asdict(self)


@dataclass(frozen=True)
class BurstSettings(Section):
    """Which images are a group without being near duplicates.

    by_name: frames of one video, by the names of files. within_seconds: images that one camera took so soon after each
    other, in chains; None for none.
    """

    by_name: bool
    within_seconds: Annotated[float, Gt(0), Le(3600)] | None


@dataclass(frozen=True)
class CurateSettings(Section):
    """backbone: whose features find the candidates. min_correlation: of the aligned pixels of a near duplicate.

    same_stem: when images of one Roboflow stem are near duplicates. bursts: what else stays in one split. duplicates:
    "keep_one" image of a set of near duplicates (the largest), or "keep_together" all of them in one split.
    """

    backbone: str
    candidates: CandidateSettings
    min_correlation: PositiveFraction
    same_stem: SimilarityThresholds
    bursts: BurstSettings
    duplicates: Literal["keep_one", "keep_together"]
    fractions: SplitFractions
    seed: Seed


@dataclass(frozen=True)
class LabelErrorSettings(Section):
    """num_neighbors: of a class. fraction: of each class, listed by either score.

    size_px: side of the square that the backbones see for this alone; None takes the features of `extract`.
    """

    num_neighbors: Annotated[int, Ge(1), Le(1000)]
    fraction: Annotated[float, Gt(0), Le(0.5)]
    size_px: SidePx | None = None
