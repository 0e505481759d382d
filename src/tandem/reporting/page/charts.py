"""Charts as small SVG texts, which take their colors from the page's style sheet, for light, dark and paper.

Drawn 360 units wide, so that their text can be read on a phone. Each names itself by <title> and says by <desc> what it
shows; its numbers stand beside it on the page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 250
MAX_POINTS = 160  # of a line, however many it was given
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 42
_NUM_TICKS = 5
_MIN_RADIUS, _MAX_RADIUS = 2.5, 8


@dataclass(frozen=True)
class Line:
    """style: a class of the style sheet. x, y: (n,)."""

    style: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Dots:
    """x, y: (n,). sizes: (n,), of what each stands for; its area grows with it."""

    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """What it measures, from where to where, and whether only whole numbers are marked."""

    label: str
    low: float
    high: float
    is_whole: bool = False

    def fraction(self, value: float) -> float:
        """Where a value lies between the ends, in [0, 1]."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    @property
    def ticks(self) -> list[float]:
        """Round values within the ends."""
        rough = (self.high - self.low) / _NUM_TICKS
        power = 10.0 ** np.floor(np.log10(rough))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
        step = max(1.0, np.ceil(step)) if self.is_whole else step
        first = np.ceil(self.low / step - 1e-9)
        values = (first + np.arange(_NUM_TICKS + 2)) * step
        return [float(value) for value in values if value <= self.high + step * 1e-6]


def axis_of(label: str, values: Sequence[float], *, from_zero: bool = False, is_whole: bool = False) -> Axis:
    """An axis that has room for all finite values."""
    finite = [value for value in values if np.isfinite(value)] or [0.0, 1.0]
    low, high = (min([0.0, *finite]) if from_zero else min(finite)), max(finite)
    return Axis(label, low, high if high > low else low + 1, is_whole)


def line_chart(
    lines: Sequence[Line],
    *,
    x: Axis,
    y: Axis,
    title: str,
    description: str,
    marks: Sequence[float] = (),
    dots: Dots | None = None,
) -> Markup:
    """Lines and dots over two axes. marks: x values at which a thin line stands."""
    parts = [*_frame(x, y)]
    for value in marks:
        at = _at(x, y, value, y.low)[0]
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
    for line in lines:
        points = [_at(x, y, *point) for point in _thinned(line)]
        path = " ".join(f"{left},{top}" for left, top in points)
        parts.append(f'<polyline class="line {line.style}" points="{path}"/>')
    if dots:
        largest = max(dots.sizes, default=1)
        for across, up, size in zip(dots.x, dots.y, dots.sizes, strict=True):
            left, top = _at(x, y, across, up)
            radius = _short(_MIN_RADIUS + _MAX_RADIUS * float(np.sqrt(size / largest)))
            parts.append(f'<circle class="dot" cx="{left}" cy="{top}" r="{radius}"/>')
    return _svg(parts, title=title, description=description)


def histogram(
    counts: Sequence[int], edges: Sequence[float], *, label: str, title: str, description: str, height: int = 130
) -> Markup:
    """Bars of counts between edges, one more than counts."""
    x, y = Axis(label, edges[0], edges[-1]), Axis("images", 0, max([*counts, 1]))
    parts = [*_frame(x, y, height=height)]
    for count, (low, high) in zip(counts, pairwise(edges), strict=True):
        (left, top), (right, bottom) = _at(x, y, low, count, height), _at(x, y, high, 0, height)
        parts.append(
            f'<rect class="bar" x="{left + 0.5}" y="{top}" width="{_short(right - left - 1)}" '
            f'height="{_short(bottom - top)}"/>'
        )
    return _svg(parts, title=title, description=description, height=height)


def _frame(x: Axis, y: Axis, *, height: int = HEIGHT) -> Iterator[str]:
    """Grid, ticks and labels."""
    bottom, right = height - _BOTTOM, WIDTH - _RIGHT
    for value in y.ticks if height == HEIGHT else (y.low, y.high):
        top = _at(x, y, x.low, value, height)[1]
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{top}" y2="{top}"/>'
        yield f'<text x="{_LEFT - 6}" y="{top + 4}" text-anchor="end">{value:.5g}</text>'
    yield f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    for value in x.ticks:
        left = _at(x, y, value, y.low, height)[0]
        yield f'<line class="axis" x1="{left}" x2="{left}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield f'<text x="{left}" y="{bottom + 17}" text-anchor="middle">{value:.5g}</text>'
    center, middle = (_LEFT + right) / 2, (_TOP + bottom) / 2
    yield f'<text class="label" x="{center}" y="{height - 6}" text-anchor="middle">{escape(x.label)}</text>'
    yield (
        f'<text class="label" transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.label)}</text>"
    )


def _at(x: Axis, y: Axis, across: float, up: float, height: int = HEIGHT) -> tuple[float, float]:
    left = _LEFT + x.fraction(across) * (WIDTH - _LEFT - _RIGHT)
    return _short(left), _short(height - _BOTTOM - y.fraction(up) * (height - _BOTTOM - _TOP))


def _short(value: float) -> float:
    return round(value, 1)


def _thinned(line: Line) -> list[tuple[float, float]]:
    """At most MAX_POINTS of its finite points, the first and the last among them."""
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if np.isfinite(x) and np.isfinite(y)]
    if len(points) <= MAX_POINTS:
        return points
    return [points[at] for at in np.linspace(0, len(points) - 1, MAX_POINTS).round().astype(int).tolist()]


def _svg(parts: Sequence[str], *, title: str, description: str, height: int = HEIGHT) -> Markup:
    name = escape(title)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">'
    return Markup(f"{head}<title>{name}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>")  # noqa: S704
