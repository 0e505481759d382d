"""Synthetic motorcycles and bicycles, each from a random generator: build, colors, rider."""

import numpy as np

from tandem.sources.synthetic.shapes import Color, Pen, PointXY, box, shade
from tandem.sources.synthetic.vehicles import CYCLE_PAINTS, paint

_BLACK: Color = (30, 30, 33)
_CHROME: Color = (196, 200, 206)


def motorcycle(pen: Pen, rng: np.random.Generator) -> None:
    """Two open wheels in line with an engine, a tank and a seat between; a third have a rider."""
    base, radius, body = rng.uniform(1.3, 1.6), rng.uniform(0.29, 0.36), paint(rng, CYCLE_PAINTS)
    rear, front = (0.0, radius), (base, radius)
    head = (base - rng.uniform(0.2, 0.4), radius + rng.uniform(0.5, 0.65))
    seat = (0.12 * base, head[1] - rng.uniform(0.08, 0.22))
    metal = shade(_CHROME, rng.uniform(0.5, 1.1))
    for center in (rear, front):
        _open_wheel(pen, center, radius, metal, spokes=int(rng.choice([5, 8, 14, 18])), tire=0.11)
    pen.line([front, head, (head[0] - 0.03, head[1] + 0.16)], metal, 0.07)
    pen.line([rear, (0.42 * base, radius), head], _BLACK, 0.09)
    pen.line([rear, (seat[0] + 0.1, seat[1] - 0.05)], metal, 0.06)
    _engine(pen, rng, 0.46 * base, radius, metal)
    _bodywork(pen, rng, seat, head, body)
    pen.line([(base - 0.1 + 0.2 * x, radius * (2.18 - x * x)) for x in np.linspace(-1.4, 1.2, 6)], body, 0.06)
    pen.across((head[0] - 0.06, head[1] + 0.2), _BLACK, 0.06, near=-0.3, far=0.3)
    pen.disc((head[0] + 0.1, head[1] + 0.06), 0.11, (244, 238, 206))
    if rng.random() < 0.35:
        _rider(pen, rng, (seat[0] + 0.22, seat[1] + 0.08), (head[0] - 0.08, head[1] + 0.2), 0.42 * base)


def _open_wheel(
    pen: Pen, center: PointXY, radius: float, metal: Color, *, spokes: int, tire: float, wide: float = 0.05
) -> None:
    for angle in np.arange(spokes) * 2 * np.pi / spokes:
        end = (center[0] + 0.85 * radius * np.cos(angle), center[1] + 0.85 * radius * np.sin(angle))
        pen.line([center, end], metal, 0.025)
    for z in (wide, 0.0, -wide):
        pen.ring(center, radius - tire / 2, _BLACK, tire, z=z)
    pen.ring(center, radius - tire, metal, 0.02, z=-wide)
    pen.disc(center, 0.07, metal, z=-wide)


def _engine(pen: Pen, rng: np.random.Generator, x: float, y: float, metal: Color) -> None:
    pen.slab(box(x - 0.2, y - 0.12, x + 0.24, y + 0.14), shade(metal, 0.5), near=-0.14, far=0.14)
    lean = rng.uniform(-0.06, 0.12)
    for level in np.linspace(y + 0.16, y + 0.4, 5):
        middle = x + lean * (level - y) / 0.3
        pen.line([(middle - 0.15, level), (middle + 0.15, level)], shade(metal, 0.85), 0.03, z=-0.12)
    pen.disc((x + 0.02, y), 0.1, shade(metal, 0.9), z=-0.15)
    low = y - rng.uniform(0.02, 0.14)
    pen.line([(x + 0.2, y + 0.2), (x + 0.26, low), (x - 0.2, low), (-0.25, low + 0.1)], metal, 0.08, z=-0.16)


def _bodywork(pen: Pen, rng: np.random.Generator, seat: PointXY, head: PointXY, body: Color) -> None:
    (back, height), (neck, top) = seat, head
    middle = back + 0.5 * (neck - back)
    tank = [(middle, height - 0.02), (neck - 0.02, top - 0.12), (neck - 0.03, top + 0.1), (middle + 0.06, top + 0.14)]
    pen.slab(tank, body, near=-0.14, far=0.14)
    cushion = [
        (back - 0.25, height),
        (middle, height - 0.03),
        (middle + 0.04, height + 0.1),
        (back - 0.3, height + 0.12),
    ]
    pen.slab(cushion, _BLACK, near=-0.12, far=0.12)
    kind = rng.integers(3)
    if kind == 0:  # a sports fairing
        nose = [(neck - 0.3, top - 0.5), (neck + 0.1, top - 0.3), (neck + 0.3, top + 0.05), (neck - 0.02, top + 0.36)]
        pen.slab(nose, body, near=-0.16, far=0.16)
    elif kind == 1:  # saddlebags
        pen.slab(box(back - 0.35, height - 0.4, back + 0.05, height - 0.08), shade(body, 0.6), near=-0.3, far=-0.14)
    tail = [(back - 0.42, height - 0.06), (back, height - 0.12), (back, height), (back - 0.45, height + 0.04)]
    pen.slab(tail, body, near=-0.1, far=0.1)


def _rider(pen: Pen, rng: np.random.Generator, hip: PointXY, hand: PointXY, foot_x: float) -> None:
    coat, trousers, helmet = paint(rng, CYCLE_PAINTS), shade(paint(rng, CYCLE_PAINTS), 0.5), paint(rng, CYCLE_PAINTS)
    shoulder = (hip[0] + rng.uniform(0.1, 0.35), hip[1] + 0.52)
    knee = (hip[0] + 0.42, hip[1] - 0.08)
    pen.line([hip, knee, (foot_x, 0.26)], trousers, 0.16, z=-0.18)
    pen.line([hip, shoulder], coat, 0.3)
    pen.line([shoulder, (shoulder[0] + 0.22, shoulder[1] - 0.28), hand], shade(coat, 0.85), 0.11, z=-0.2)
    pen.disc((shoulder[0] + 0.08, shoulder[1] + 0.22), 0.16, helmet)
    pen.face(box(shoulder[0] + 0.12, shoulder[1] + 0.16, shoulder[0] + 0.24, shoulder[1] + 0.26), _BLACK, z=-0.05)


def bicycle(pen: Pen, rng: np.random.Generator) -> None:
    """Two large thin wheels and a bare frame."""
    base, radius, body = rng.uniform(1.0, 1.15), rng.uniform(0.32, 0.37), paint(rng, CYCLE_PAINTS)
    saddle, crank, head = (0.28, radius + 0.55), (0.42 * base, radius - 0.04), (base - 0.2, radius + 0.5)
    for center in ((0.0, radius), (base, radius)):
        _open_wheel(pen, center, radius, (150, 152, 156), spokes=16, tire=0.04, wide=0.015)
    pen.line([(0.0, radius), crank, head, (0.26, radius + 0.42), (0.0, radius)], body, 0.045)
    pen.line([saddle, crank], body, 0.045)
    pen.line([(base, radius), head, (head[0] - 0.03, head[1] + 0.16)], body, 0.045)
    pen.line([(saddle[0] - 0.14, saddle[1]), (saddle[0] + 0.14, saddle[1])], _BLACK, 0.07)
    pen.across((head[0], head[1] + 0.16), _BLACK, 0.04, near=-0.28, far=0.28)
    pen.disc(crank, 0.1, _BLACK)
