"""Solid things projected at an angle: a pen that turns metres in space into flat shapes, to be filled in order.

x points to the front of a vehicle, y up from the ground, z away from the viewer; the near side has z = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Color = tuple[int, int, int]
PointXY = tuple[float, float]

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 25)), np.sin(np.linspace(0, 2 * np.pi, 25))], axis=1)


class Shape(NamedTuple):
    """points: (N, 2) metres, y up. width: 0 for a filled polygon, else that of a line in metres."""

    points: np.ndarray
    fill: Color
    width: float = 0.0


def shade(fill: Color, factor: float) -> Color:
    """The color with its light multiplied, clipped to 0..255."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in fill)
    return red, green, blue


def box(left: float, bottom: float, right: float, top: float) -> list[PointXY]:
    """The corners of an upright rectangle, counterclockwise."""
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


@dataclass(frozen=True)
class Pen:
    """Collects shapes as projected for one point of view.

    yaw, pitch: radians; a yaw > 0 shows the front end, < 0 the rear. closeness: perspective, 0 for none.
    """

    yaw: float
    pitch: float
    closeness: float
    shapes: list[Shape] = field(default_factory=list)

    def face(self, points: Sequence[PointXY], fill: Color, *, z: float = 0.0) -> None:
        """A flat polygon parallel to the near side."""
        self.shapes.append(Shape(self._projected(np.array([(x, y, z) for x, y in points])), fill))

    def line(self, points: Sequence[PointXY], fill: Color, width: float, *, z: float = 0.0) -> None:
        """A line of that width in metres parallel to the near side."""
        self.shapes.append(Shape(self._projected(np.array([(x, y, z) for x, y in points])), fill, width))

    def across(self, at: PointXY, fill: Color, width: float, *, near: float, far: float) -> None:
        """A line from the near to the far side."""
        self.shapes.append(Shape(self._projected(np.array([(*at, near), (*at, far)])), fill, width))

    def disc(self, center: PointXY, radius: float, fill: Color, *, z: float = 0.0) -> None:
        """A filled circle parallel to the near side."""
        self.face([(x, y) for x, y in _CIRCLE * radius + center], fill, z=z)

    def ring(self, center: PointXY, radius: float, fill: Color, width: float, *, z: float = 0.0) -> None:
        """A circle's line parallel to the near side."""
        self.line([(x, y) for x, y in _CIRCLE * radius + center], fill, width, z=z)

    def strip(self, start: PointXY, end: PointXY, fill: Color, *, near: float, far: float) -> None:
        """The wall on an edge of a counterclockwise outline, if that wall faces the viewer."""
        normal_x, normal_y = end[1] - start[1], start[0] - end[0]
        if normal_x * np.sin(self.yaw) * np.cos(self.pitch) + normal_y * np.sin(self.pitch) > 0:
            corners = [(*start, near), (*end, near), (*end, far), (*start, far)]
            self.shapes.append(Shape(self._projected(np.array(corners)), fill))

    def slab(self, outline: Sequence[PointXY], fill: Color, *, near: float, far: float) -> None:
        """A counterclockwise outline extruded from `near` to `far`, its walls lit from above."""
        edges = list(zip(outline, [*outline[1:], outline[0]], strict=True))
        depth = np.sin(self.yaw)
        for start, end in sorted(edges, key=lambda edge: (edge[0][0] + edge[1][0]) * depth):
            length = max(1e-6, float(np.hypot(end[0] - start[0], end[1] - start[1])))
            light = 0.78 + 0.42 * max(0.0, (start[0] - end[0]) / length)
            self.strip(start, end, shade(fill, light), near=near, far=far)
        self.face(outline, fill, z=near)

    def tire(self, center: PointXY, radius: float, fill: Color, *, near: float, far: float) -> None:
        """A solid wheel's tire: discs from the far to the near side."""
        for z in np.linspace(far, near, 4):
            self.disc(center, radius, fill, z=float(z))

    def _projected(self, points: np.ndarray) -> np.ndarray:
        x, y, z = points.T
        depth = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        across = x * np.cos(self.yaw) + z * np.sin(self.yaw)
        up = y * np.cos(self.pitch) + depth * np.sin(self.pitch)
        return np.stack([across, up], axis=1) / (1 + self.closeness * depth)[:, None]
