"""Where the threshold between copies and other images may lie, from the pairs that curation has looked at.

The correlations of copies bunch up below 1, those of other images spread out far below; the best threshold lies where
hardly any pair does, so that a little more or less of it decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.errors import DataError

_EDGES = (*np.arange(0.5, 0.9, 0.05).round(2), *np.arange(0.9, 1.005, 0.01).round(2))
_TRIED = np.arange(0.85, 0.9855, 0.001).round(3)
_MARGIN = 0.015  # pairs that lie this near to a threshold could well lie beyond it
_BAR = 40  # columns of the longest bar
_NUM_SHOWN = 5  # pairs on either side of the threshold


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
            f"none of {len(correlation)} pairs correlates by {_TRIED[0]} or more: there is nothing to calibrate by; "
            "without copies any threshold serves"
        )
    values = np.sort(correlation)
    counts = np.searchsorted(values, _TRIED + _MARGIN, "right") - np.searchsorted(values, _TRIED - _MARGIN, "left")
    emptiest = np.flatnonzero(counts == counts.min())
    longest = max(np.split(emptiest, np.flatnonzero(np.diff(emptiest) > 1) + 1), key=len)
    return Suggestion(float(_TRIED[longest[len(longest) // 2]]), int(counts.min()))


def histogram(values: np.ndarray) -> dict[str, int]:
    """How many lie where: from 0.5 on, in steps of 0.05, and of 0.01 from 0.9 on; the last one holds 1 too."""
    counts = np.histogram(values, _EDGES)[0]
    return {f"{low:.2f}-{high:.2f}": int(n) for low, high, n in zip(_EDGES, _EDGES[1:], counts, strict=False)}


def format_suggestion(rows: Sequence[Mapping[str, str]], names: Mapping[str, str], *, correlation: float) -> str:
    """For a terminal: the histogram, the suggestion beside the threshold in use, and the pairs that it hangs on.

    rows: first, second and correlation of pairs, as tandem.curation.duplicates.find saves them. names: id -> what people call an image.
    """
    values = np.array([float(row["correlation"]) for row in rows])
    suggested = suggest_threshold(values)
    counts = histogram(values)
    most = max(1, *counts.values())
    lines = [f"{sum(counts.values())} pairs that correlate by 0.5 or more, of those that curate laid over one another"]
    lines += [f"  {bin_}  {n:>7}  {'#' * -(-n * _BAR // most)}" for bin_, n in counts.items()]
    lines += [
        f"suggested: curate.correlation: {suggested.correlation:g} (now {correlation:g}); "
        f"{suggested.num_near} pairs lie within {_MARGIN} of it",
        "pairs nearest to it, for a look:",
    ]
    order = np.argsort(np.abs(values - suggested.correlation), kind="stable")
    sides = (values >= suggested.correlation, values < suggested.correlation)
    nearest = [row for side in sides for row in order[side[order]][:_NUM_SHOWN].tolist()]
    for row in sorted(nearest, key=lambda row: -values[row]):
        word = "copies   " if values[row] >= suggested.correlation else "different"
        lines.append(f"  {values[row]:.3f} {word}  {names[rows[row]['first']]}  {names[rows[row]['second']]}")
    return "\n".join(lines)
