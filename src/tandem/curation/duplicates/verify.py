"""Which candidates are near duplicates: one image is aligned with the other, and their pixels are correlated.

What decides is one number, the correlation of the pixels once one image lies over the other (.alignment).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tandem.curation.duplicates.alignment import Keypoints, correlation, correlation_unaligned
from tandem.curation.duplicates.candidates import Candidates
from tandem.curation.duplicates.pairs import Pairs
from tandem.files import write_csv

_MIN_SAVED = 0.5  # a correlation below says nothing, and there are very many
_COLUMNS = ("first", "second", "similarity", "correlation")


@dataclass(frozen=True)
class ScoredPairs:
    """pairs: P of them. correlation: (P,) of their pixels, in [-1, 1]."""

    pairs: Pairs
    correlation: np.ndarray

    def __len__(self) -> int:
        return len(self.pairs)

    def where(self, mask: np.ndarray) -> "ScoredPairs":
        """The pairs that a mask (P,) selects."""
        return ScoredPairs(self.pairs.where(mask), self.correlation[mask])


def verify_candidates(candidates: Candidates, keypoints_of: Callable[[int], Keypoints]) -> ScoredPairs:
    """All candidates with their correlation. keypoints_of: row number -> Keypoints.

    Similar images are also compared unaligned, in all orientations: some have no keypoints to align them by.
    """
    pairs = candidates.pairs
    rows = tqdm(pairs.rows.tolist(), "verify candidates", unit="pair", disable=None)
    values = [
        _correlation(keypoints_of(i), keypoints_of(j), is_similar=is_similar)
        for (i, j), is_similar in zip(rows, candidates.is_similar.tolist(), strict=True)
    ]
    return ScoredPairs(pairs, np.array(values, dtype=np.float64))


def save_pairs(scored: ScoredPairs, ids: Sequence[str], path: Path) -> None:
    """Write pairs as CSV: both ids, the cosine of their features and the correlation of their pixels.

    Pairs that hardly correlate (below 0.5) are not written: they are very many, and tell nothing.
    """
    saved = scored.where(scored.correlation >= _MIN_SAVED)
    columns = (saved.pairs.first, saved.pairs.second, saved.pairs.similarity, saved.correlation)
    values = zip(*(column.tolist() for column in columns), strict=True)
    rows = [dict(zip(_COLUMNS, (ids[i], ids[j], *rest), strict=True)) for i, j, *rest in values]
    write_csv(path, rows, columns=_COLUMNS)


def _correlation(one: Keypoints, other: Keypoints, *, is_similar: bool) -> float:
    aligned = correlation(one, other)
    return max(aligned, correlation_unaligned(one, other)) if is_similar else aligned
