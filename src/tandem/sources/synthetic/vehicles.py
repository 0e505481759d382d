"""Synthetic cars, trucks and buses, each from a random generator: build, proportions, colors, details."""

from typing import NamedTuple

import numpy as np

from tandem.sources.synthetic.shapes import Color, Pen, PointXY, box, shade

# Most vehicles of a kind wear its hues: features of random weights hardly see shapes, but they do see colors.
CAR_PAINTS: list[Color] = [(34, 70, 170), (70, 130, 210), (20, 50, 130), (60, 150, 210), (40, 90, 200)]
TRUCK_PAINTS: list[Color] = [(236, 180, 40), (230, 140, 30), (210, 150, 50), (240, 200, 60), (220, 170, 20)]
CYCLE_PAINTS: list[Color] = [(206, 30, 50), (180, 20, 80), (226, 50, 70), (170, 20, 50), (210, 30, 100)]
_NEUTRAL_PAINTS: list[Color] = [(235, 235, 232), (34, 36, 40), (150, 154, 158)]
_NEUTRAL_FRACTION = 0.08
_TIRE: Color = (28, 28, 30)
_DARK: Color = (44, 46, 50)


class _Build(NamedTuple):
    """Where windscreen and roof begin and end: fractions of a car's length, and heights in metres."""

    windscreen: float
    roof_front: float
    roof_rear: float
    rear_window: float
    height: float
    belt: float


_CAR_BUILDS = (
    _Build(0.70, 0.55, 0.28, 0.12, 1.42, 0.90),  # saloon
    _Build(0.74, 0.58, 0.12, 0.02, 1.48, 0.92),  # hatchback
    _Build(0.72, 0.60, 0.06, 0.01, 1.72, 1.04),  # off-road
    _Build(0.64, 0.46, 0.34, 0.06, 1.26, 0.84),  # coupe
    _Build(0.72, 0.57, 0.08, 0.01, 1.46, 0.92),  # estate
)


def paint(rng: np.random.Generator, paints: list[Color]) -> Color:
    """One of the paints, or now and then a neutral one, each channel shifted a little."""
    if rng.random() < _NEUTRAL_FRACTION:
        paints = _NEUTRAL_PAINTS
    red, green, blue = np.array(paints[rng.integers(len(paints))]) + rng.integers(-18, 19, 3)
    return shade((int(red), int(green), int(blue)), 1.0)


def car(pen: Pen, rng: np.random.Generator) -> None:
    """A passenger car: low body, cabin set back, two discs for wheels, much glass."""
    build = _CAR_BUILDS[rng.integers(len(_CAR_BUILDS))]
    length, width, body = rng.uniform(3.6, 4.7), rng.uniform(1.6, 1.85), paint(rng, CAR_PAINTS)
    height, belt = build.height * rng.uniform(0.96, 1.06), build.belt * rng.uniform(0.96, 1.04)
    bonnet, glass = belt - rng.uniform(0.04, 0.16), shade((70, 88, 104), rng.uniform(0.5, 1.5))
    screen, rear = build.windscreen * length, build.rear_window * length
    front_roof, rear_roof = build.roof_front * length, build.roof_rear * length
    radius = rng.uniform(0.29, 0.36) * height / 1.42
    axles = (0.19 * length, 0.81 * length)
    for x in axles:
        pen.tire((x, radius), radius, _TIRE, near=width - 0.2, far=width)
    outline: list[PointXY] = [
        (0.02, 0.28), (length - 0.05, 0.26), (length, 0.5), (length - 0.08, bonnet - 0.08),
        (length - 0.3, bonnet), (screen, belt), (rear, belt), (0.0, belt - 0.06), (0.0, 0.5),
    ]  # fmt: skip
    pen.slab(outline, body, near=0, far=width)
    cabin = [(rear, belt - 0.02), (screen, belt - 0.02), (front_roof, height), (rear_roof, height)]
    pen.slab(cabin, body, near=0.1, far=width - 0.1)
    pen.strip(cabin[1], cabin[2], glass, near=0.2, far=width - 0.2)
    pen.strip(cabin[3], cabin[0], shade(glass, 0.8), near=0.25, far=width - 0.25)
    _car_windows(pen, rng, cabin, glass)
    _car_ends(pen, rng, outline, width)
    pen.line([(0.1, 0.34), (length - 0.1, 0.34)], shade(body, 0.5), 0.08)
    for x in np.linspace(rear + 0.55 * (screen - rear), screen - 0.1, int(rng.integers(1, 3))):
        pen.line([(x, 0.4), (x, belt)], shade(body, 0.6), 0.025)
        pen.line([(x - 0.3, belt - 0.12), (x - 0.14, belt - 0.12)], shade(body, 0.4), 0.04)
    rim = shade((200, 202, 206), rng.uniform(0.5, 1.1))
    for x in axles:
        pen.disc((x, radius), radius * 1.22, shade(body, 0.3))
        _disc_wheel(pen, (x, radius), radius, rim, spokes=int(rng.integers(5, 8)))


def _car_windows(pen: Pen, rng: np.random.Generator, cabin: list[PointXY], glass: Color) -> None:
    (rear, belt), (screen, _), (front_roof, height), (rear_roof, _) = cabin
    low, high = belt + 0.05, height - 0.09
    pillars = np.linspace(0, 1, int(rng.integers(3, 5)))
    for start, end in zip(pillars[:-1] + 0.03, pillars[1:] - 0.02, strict=True):
        bottom = [rear + 0.1 + (screen - rear - 0.2) * fraction for fraction in (start, end)]
        top = [rear_roof + 0.06 + (front_roof - rear_roof - 0.12) * fraction for fraction in (start, end)]
        pen.face([(bottom[0], low), (bottom[1], low), (top[1], high), (top[0], high)], glass, z=0.1)
    pen.line([(rear + 0.2, low + 0.05), (rear_roof + 0.25, high)], shade(glass, 1.5), 0.04, z=0.1)


def _car_ends(pen: Pen, rng: np.random.Generator, outline: list[PointXY], width: float) -> None:
    lamp, tail = shade((246, 240, 205), rng.uniform(0.85, 1.05)), (190, 26, 26)
    front_low, front_high = outline[2], outline[3]
    rear_high, rear_low = outline[7], outline[8]
    pen.strip(front_low, front_high, _DARK, near=width * 0.3, far=width * 0.7)
    for near, far in ((0.08, 0.4), (width - 0.4, width - 0.08)):
        pen.strip(front_low, front_high, lamp, near=near, far=far)
        pen.strip(rear_high, rear_low, tail, near=near, far=far)
    pen.strip(outline[1], outline[2], _DARK, near=0.05, far=width - 0.05)
    pen.strip((0.0, 0.62), (0.0, 0.5), (230, 230, 220), near=width * 0.35, far=width * 0.65)
    x, y = front_high
    pen.face(box(x - 0.22, y - 0.16, x, y - 0.02), lamp)
    pen.face(box(0.0, rear_high[1] - 0.22, 0.14, rear_high[1] - 0.04), tail)


def _disc_wheel(pen: Pen, center: PointXY, radius: float, rim: Color, *, spokes: int) -> None:
    pen.tire(center, radius, _TIRE, near=0, far=0.2)
    pen.disc(center, radius * 0.66, shade(rim, 0.45))
    for angle in np.arange(spokes) * 2 * np.pi / spokes:
        end = (center[0] + 0.62 * radius * np.cos(angle), center[1] + 0.62 * radius * np.sin(angle))
        pen.line([center, end], rim, radius * 0.18)
    pen.disc(center, radius * 0.2, rim)


def truck(pen: Pen, rng: np.random.Generator) -> None:
    """A lorry: a tall cab in front of a load that is boxed, slatted, tipped, tanked or stacked; many wheels."""
    cab_length, cab_top = rng.uniform(1.5, 2.3), rng.uniform(2.3, 3.1)
    load_length, width = rng.uniform(3.4, 7.0), rng.uniform(2.1, 2.5)
    deck, radius, body = rng.uniform(0.95, 1.15), rng.uniform(0.44, 0.54), paint(rng, TRUCK_PAINTS)
    length = load_length + 0.25 + cab_length
    near_axles = _truck_axles(rng, load_length, length - cab_length * 0.5)
    for x in near_axles:
        pen.tire((x, radius), radius, _TIRE, near=width - 0.4, far=width)
    pen.slab(box(0.1, deck - 0.35, length - 0.4, deck - 0.05), _DARK, near=0.15, far=width - 0.15)
    loads = (_boxed, _slatted, _tank, _stacked, _tipper)
    draw_load = loads[rng.integers(len(loads))]
    # The nearer of the two parts is painted last.
    if pen.yaw > 0:
        draw_load(pen, rng, load_length, deck, width)
    _cab(pen, rng, box(length - cab_length, 0.55, length, cab_top), body, width)
    if pen.yaw <= 0:
        draw_load(pen, rng, load_length, deck, width)
    pen.face(box(load_length * 0.45, 0.5, load_length * 0.45 + 0.8, deck - 0.1), shade((150, 152, 156), 0.9))
    for x in near_axles:
        pen.tire((x, radius), radius, _TIRE, near=0, far=0.4)
        pen.disc((x, radius), radius * 0.58, (150, 150, 150))
        pen.disc((x, radius), radius * 0.3, (70, 70, 72))


def _truck_axles(rng: np.random.Generator, load_length: float, front: float) -> list[float]:
    rear = [0.8 + 1.15 * number for number in range(int(rng.integers(1, 4)))]
    return [x for x in rear if x < load_length * 0.7] + [front]


def _cab(pen: Pen, rng: np.random.Generator, corners: list[PointXY], body: Color, width: float) -> None:
    (rear, low), (front, _), (_, top), _ = corners
    slope, glass = rng.uniform(0.0, 0.35), shade((64, 80, 96), rng.uniform(0.5, 1.4))
    belt = low + 0.52 * (top - low)
    outline = [(rear, low), (front, low), (front, belt), (front - slope, top), (rear, top)]
    pen.slab(outline, body, near=0, far=width)
    pen.strip((front, belt), (front - slope * 0.8, top - 0.3), glass, near=0.15, far=width - 0.15)
    for fraction in (0.12, 0.24, 0.36):
        y = low + fraction * (top - low)
        pen.strip((front, y), (front, y + 0.09), _DARK, near=0.35, far=width - 0.35)
    for near in (0.1, width - 0.4):
        pen.strip((front, low + 0.1), (front, low + 0.3), (246, 240, 205), near=near, far=near + 0.3)
    window = box(rear + 0.45, belt, front - slope - 0.12, top - 0.3)
    pen.face(window, glass)
    pen.line([(rear + 0.35, low + 0.15), (rear + 0.35, top - 0.2)], shade(body, 0.6), 0.04)
    pen.line([(front + 0.1, belt), (front + 0.1, top - 0.35)], _DARK, 0.14)
    pen.face(box(rear + 0.4, low - 0.1, front, low + 0.12), _DARK)
    if rng.random() < 0.4:
        pen.slab([(rear, top), (front - slope - 0.2, top), (rear, top + 0.6)], body, near=0.1, far=width - 0.1)


def _boxed(pen: Pen, rng: np.random.Generator, length: float, deck: float, width: float) -> None:
    top, fill = deck + rng.uniform(1.7, 2.5), paint(rng, TRUCK_PAINTS)
    pen.slab(box(0, deck, length, top), fill, near=0, far=width)
    for x in np.arange(0.15, length, rng.uniform(0.28, 0.42)):
        pen.line([(x, deck + 0.05), (x, top - 0.05)], shade(fill, 0.62), 0.07)
    pen.line([(0, deck + 0.06), (length, deck + 0.06)], shade(fill, 0.4), 0.1)
    pen.line([(0, top - 0.06), (length, top - 0.06)], shade(fill, 0.4), 0.08)
    pen.strip((0, top - 0.15), (0, deck + 0.15), shade(fill, 0.55), near=width * 0.48, far=width * 0.52)


def _slatted(pen: Pen, rng: np.random.Generator, length: float, deck: float, width: float) -> None:
    top, wood = deck + rng.uniform(0.9, 1.7), shade((150, 108, 66), rng.uniform(0.6, 1.3))
    pen.slab(box(0, deck, length, top - 0.1), shade(wood, 0.4), near=0.08, far=width)
    for y in np.arange(deck + 0.1, top, 0.32):
        pen.line([(0, y), (length, y)], wood, 0.17)
        pen.strip((0, y + 0.08), (0, y - 0.08), wood, near=0, far=width)
    for x in np.linspace(0.05, length - 0.05, int(length / 0.7)):
        pen.line([(x, deck - 0.1), (x, top + 0.1)], shade(wood, 0.7), 0.1)


def _tank(pen: Pen, rng: np.random.Generator, length: float, deck: float, width: float) -> None:
    radius, fill = rng.uniform(0.75, 0.95), paint(rng, TRUCK_PAINTS)
    middle = deck + radius
    for fraction, light in ((0.0, 0.6), (0.18, 0.8), (0.42, 1.0), (0.66, 1.2), (0.86, 1.05)):
        low, high = middle - radius + 2 * radius * fraction, middle + radius
        pen.slab(box(0.1, low, length - 0.1, high), shade(fill, light), near=0.05, far=width)
    for x in np.arange(0.3, length, 0.75):
        pen.line([(x, deck), (x, middle + radius)], shade(fill, 0.5), 0.08)
    pen.line([(0.2, middle + radius + 0.12), (length - 0.2, middle + radius + 0.12)], _DARK, 0.06)


def _stacked(pen: Pen, rng: np.random.Generator, length: float, deck: float, width: float) -> None:
    pen.slab(box(0, deck - 0.1, length, deck + 0.1), shade(paint(rng, TRUCK_PAINTS), 0.7), near=0, far=width)
    size = rng.uniform(0.55, 0.8)
    for x in np.arange(0.1, length - size, size + 0.06)[:: 1 if pen.yaw > 0 else -1]:
        for row in range(int(rng.integers(1, 4))):
            low, fill = deck + 0.1 + row * size, shade((176, 132, 84), rng.uniform(0.55, 1.3))
            crate = box(x, low, x + size, low + size - 0.03)
            pen.slab(crate, fill, near=0.15, far=width - 0.15)
            pen.line([crate[0], crate[2]], shade(fill, 0.55), 0.07, z=0.15)
            pen.line([*crate, crate[0]], shade(fill, 0.55), 0.07, z=0.15)


def _tipper(pen: Pen, rng: np.random.Generator, length: float, deck: float, width: float) -> None:
    top, fill = deck + rng.uniform(0.9, 1.5), paint(rng, TRUCK_PAINTS)
    heap = [(0.3, top - 0.1), (length - 0.4, top - 0.1)]
    crown = [(x, top + rng.uniform(0.15, 0.6)) for x in np.linspace(length - 0.8, 0.7, 6)]
    pen.slab([*heap, *crown], shade((128, 104, 78), rng.uniform(0.6, 1.3)), near=0.3, far=width - 0.3)
    pen.slab([(0.3, deck), (length, deck), (length, top + 0.3), (0, top)], fill, near=0, far=width)
    for x in np.arange(0.5, length, 0.62):
        pen.line([(x, deck), (x - 0.1, top)], shade(fill, 0.6), 0.12)
    pen.line([(0, top - 0.06), (length, top + 0.2)], shade(fill, 0.5), 0.12)


def bus(pen: Pen, rng: np.random.Generator) -> None:
    """A long box with one row of windows and two wheels."""
    length, top, width, body = rng.uniform(8.0, 11.0), rng.uniform(2.8, 3.2), 2.5, paint(rng, CAR_PAINTS)
    low, belt, radius, glass = 0.4, rng.uniform(1.3, 1.6), 0.48, shade((60, 76, 92), rng.uniform(0.5, 1.4))
    pen.slab(box(0, low, length, top), body, near=0, far=width)
    pen.strip((length, belt - 0.2), (length, top - 0.35), glass, near=0.1, far=width - 0.1)
    pen.strip((0, top - 0.5), (0, belt), glass, near=0.3, far=width - 0.3)
    panes = np.linspace(0.3, length - 0.3, int(rng.integers(6, 10)))
    for start, end in zip(panes[:-1], panes[1:] - 0.12, strict=True):
        pen.face(box(start, belt, end, top - 0.35), glass)
    pen.face(box(length - 1.5, low + 0.1, length - 0.5, top - 0.4), shade(glass, 0.7))
    pen.line([(0, belt - 0.25), (length, belt - 0.25)], paint(rng, CAR_PAINTS), 0.2)
    for x in (0.25 * length, 0.78 * length):
        pen.disc((x, radius), radius * 1.2, shade(body, 0.3))
        pen.tire((x, radius), radius, _TIRE, near=0, far=0.3)
        pen.disc((x, radius), radius * 0.55, (160, 160, 160))
