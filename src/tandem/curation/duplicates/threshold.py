"""Where the threshold between near duplicates and other images may lie, from the candidates that curation verified.

The correlations of near duplicates bunch up below 1, those of other images spread out far below; the best threshold
lies where hardly any pair does, so that a little more or less of it decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.curation.histogram import similarity_histogram
from tandem.errors import DataError

_TRIED = np.arange(0.85, 0.9855, 0.001).round(3)
_MARGIN = 0.015  # pairs that lie this near to a threshold could well lie beyond it
_BAR_WIDTH = 40  # characters of the longest bar
_NUM_LISTED = 5  # pairs on either side of the threshold


@dataclass(frozen=True)
class Suggestion:
    """A threshold on the correlation, and how many pairs lie within 0.015 of it."""

    correlation: float
    num_near: int


def suggest_threshold(correlation: np.ndarray) -> Suggestion:
    """The threshold from 0.85 to 0.985 with the fewest pairs near; of several, the middle of their longest run.

    correlation: (P,) of pairs, in [-1, 1]. Raises DataError where none reaches 0.85.
    """
    if not (correlation >= _TRIED[0]).any():
        raise DataError(
            f"none of {len(correlation)} pairs correlates by {_TRIED[0]} or more: there is nothing to suggest a "
            "threshold by; without near duplicates any curate.min_correlation serves"
        )
    values = np.sort(correlation)
    counts = np.searchsorted(values, _TRIED + _MARGIN, "right") - np.searchsorted(values, _TRIED - _MARGIN, "left")
    emptiest = np.flatnonzero(counts == counts.min())
    longest = max(np.split(emptiest, np.flatnonzero(np.diff(emptiest) > 1) + 1), key=len)
    return Suggestion(float(_TRIED[longest[len(longest) // 2]]), int(counts.min()))


def format_suggestion(pairs: Sequence[Mapping[str, str]], names: Mapping[str, str], *, min_correlation: float) -> str:
    """For a terminal: the histogram, the suggestion beside the threshold in use, and the pairs that it hangs on.

    pairs: first, second and correlation of each, as save_pairs writes them. names: id -> what people call an image.
    """
    correlation = _correlations(pairs)
    suggested = suggest_threshold(correlation)
    return "\n".join(
        [
            *_histogram_lines(correlation),
            f"suggested: curate.min_correlation: {suggested.correlation:g} (now {min_correlation:g}); "
            f"{suggested.num_near} pairs lie within {_MARGIN} of it",
            "pairs nearest to it, for a look:",
            *_nearest_lines(pairs, names, correlation, suggested.correlation),
        ]
    )


def suggestion_as_dict(pairs: Sequence[Mapping[str, str]], *, min_correlation: float) -> dict[str, Any]:
    """The same for programs, without the pairs."""
    correlation = _correlations(pairs)
    suggested = suggest_threshold(correlation)
    return {
        "suggested": suggested.correlation,
        "min_correlation": min_correlation,
        "pairs": len(correlation),
        "pairs_near_suggested": suggested.num_near,
        "histogram": similarity_histogram(correlation),
    }


def _correlations(pairs: Sequence[Mapping[str, str]]) -> np.ndarray:
    return np.array([float(pair["correlation"]) for pair in pairs])


def _histogram_lines(correlation: np.ndarray) -> list[str]:
    counts = similarity_histogram(correlation)
    most = max(1, *counts.values())
    return [
        f"{sum(counts.values())} candidates that correlate by 0.5 or more",
        *(f"  {bin_}  {n:>7}  {'#' * -(-n * _BAR_WIDTH // most)}" for bin_, n in counts.items()),
    ]


def _nearest_lines(
    pairs: Sequence[Mapping[str, str]], names: Mapping[str, str], correlation: np.ndarray, threshold: float
) -> list[str]:
    """The pairs on either side of the threshold that lie nearest to it, the highest correlation first."""
    order = np.argsort(np.abs(correlation - threshold), kind="stable")
    sides = (correlation >= threshold, correlation < threshold)
    nearest = [row for side in sides for row in order[side[order]][:_NUM_LISTED].tolist()]
    lines = []
    for row in sorted(nearest, key=lambda row: -correlation[row]):
        verdict = "near duplicate" if correlation[row] >= threshold else "rejected      "
        lines.append(f"  {correlation[row]:.3f} {verdict}  {names[pairs[row]['first']]}  {names[pairs[row]['second']]}")
    return lines
