"""What stands behind and in front of a vehicle: sky, ground, houses, trees, walls; poles and bushes."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from tandem.sources.synthetic.shapes import Color, shade


def backdrop(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """RGB image of width x height px: two graded grounds, things in rows upon the horizon, and cloudy texture."""
    horizon = int(height * rng.uniform(0.15, 0.8))
    image = Image.fromarray(_graded(rng, width, height, horizon))
    draw = ImageDraw.Draw(image)
    rows = (_houses, _trees, _bricks, _fence, _hills, _blobs)
    for number in rng.permutation(len(rows))[: rng.integers(1, 4)]:
        rows[number](draw, rng, width, horizon)
    (_lanes, _slabs, _blobs_below)[rng.integers(3)](draw, rng, width, height, horizon)
    strength = rng.uniform(8, 35)
    light = np.asarray(image, dtype=np.float32) + strength * clouds(rng, width, height)[:, :, None]
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def clouds(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(height, width) float32 of smooth noise in four octaves, about -1 to 1."""
    total = np.zeros((height, width), dtype=np.float32)
    for cells in (2, 4, 8, 16):
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        total += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)) / cells**0.5
    return total


def cover(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw up to three things over an RGB image: poles, bushes, rails, in place."""
    draw = ImageDraw.Draw(image)
    things = (_pole, _bush, _rail)
    for _ in range(rng.integers(0, 4)):
        things[rng.integers(len(things))](draw, rng, image.width, image.height)


def random_color(rng: np.random.Generator) -> Color:
    """Any hue, but grayish: a backdrop is duller than the vehicles before it."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.15), rng.uniform(0.12, 1.0))
    return int(red * 255), int(green * 255), int(blue * 255)


def _graded(rng: np.random.Generator, width: int, height: int, horizon: int) -> np.ndarray:
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for part in (slice(0, horizon), slice(horizon, height)):
        across, down = (np.linspace(0, 1, count) - 0.5 for count in (width, pixels[part].shape[0]))
        turn = rng.uniform(0, 2 * np.pi)
        fraction = np.clip(0.5 + 0.7 * (np.cos(turn) * across + np.sin(turn) * down[:, None]), 0, 1)
        start, end = np.array(random_color(rng)), np.array(random_color(rng))
        pixels[part] = (start + fraction[:, :, None] * (end - start)).astype(np.uint8)
    return pixels


def _houses(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: int) -> None:
    left = -int(rng.integers(0, width // 3))
    while left < width:
        right = left + int(rng.integers(width // 6, width // 2))
        top, wall = int(horizon * rng.uniform(0.0, 0.7)), random_color(rng)
        draw.rectangle([left, top, right, horizon], fill=wall)
        step, pane = int(rng.integers(14, 30)), shade(wall, rng.uniform(0.35, 1.5))
        for x in range(left + step // 3, right - step // 2, step):
            for y in range(top + step // 3, horizon - step // 2, int(step * 1.3)):
                draw.rectangle([x, y, x + step // 2, y + int(step * 0.7)], fill=pane)
        left = right + int(rng.integers(0, width // 4))


def _trees(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: int) -> None:
    for _ in range(rng.integers(2, 7)):
        x, size = int(rng.integers(0, width)), float(rng.uniform(0.12, 0.35)) * width
        top = horizon - size * rng.uniform(0.8, 1.6)
        draw.rectangle([x - size * 0.06, top, x + size * 0.06, horizon + 4], fill=(74, 54, 38))
        _leaves(draw, rng, x, top, size * 0.5)


def _leaves(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    leaf = shade((86, 106, 78), rng.uniform(0.5, 1.5))
    for _ in range(14):
        dx, dy, radius = rng.normal(0, size * 0.5), rng.normal(0, size * 0.45), size * rng.uniform(0.2, 0.5)
        fill = shade(leaf, rng.uniform(0.7, 1.3))
        draw.ellipse([x + dx - radius, y + dy - radius, x + dx + radius, y + dy + radius], fill=fill)


def _bricks(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: int) -> None:
    left, right = sorted(int(x) for x in rng.integers(-width // 4, width * 5 // 4, 2))
    top, wall = int(horizon * rng.uniform(0, 0.6)), random_color(rng)
    draw.rectangle([left, top, right, horizon], fill=wall)
    tall = int(rng.integers(10, 20))
    for row, y in enumerate(range(top, horizon, tall)):
        draw.line([left, y, right, y], fill=shade(wall, 0.7), width=2)
        for x in range(left + (row % 2) * tall, right, 2 * tall):
            draw.line([x, y, x, min(y + tall, horizon)], fill=shade(wall, 0.7), width=2)


def _fence(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: int) -> None:
    top, fill, step = int(horizon * rng.uniform(0.4, 0.85)), random_color(rng), int(rng.integers(12, 40))
    for x in range(int(rng.integers(0, step)), width, step):
        draw.line([x, top, x, horizon], fill=fill, width=int(rng.integers(3, 7)))
    draw.line([0, top + 6, width, top + 6], fill=shade(fill, 0.8), width=4)


def _hills(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: int) -> None:
    peaks = [(x, horizon * rng.uniform(0.1, 0.95)) for x in np.linspace(0, width, int(rng.integers(4, 9)))]
    draw.polygon([(0, horizon), *peaks, (width, horizon)], fill=random_color(rng))


def _blobs(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: int) -> None:
    _patches(draw, rng, width, 0, horizon)


def _blobs_below(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    _patches(draw, rng, width, horizon, height)


def _patches(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, top: int, bottom: int) -> None:
    for _ in range(rng.integers(3, 12)):
        x, y = rng.uniform(0, width), rng.uniform(top, bottom)
        wide, tall = rng.uniform(0.05, 0.3) * width, rng.uniform(0.05, 0.3) * (bottom - top)
        draw.ellipse([x - wide, max(top, y - tall), x + wide, min(bottom, y + tall) + 1], fill=random_color(rng))


def _lanes(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    y = horizon + (height - horizon) * rng.uniform(0.3, 0.9)
    lean, fill, step = rng.uniform(-0.15, 0.15) * height, random_color(rng), int(rng.integers(30, 80))
    for x in range(-step, width, step):
        along = [y + lean * edge / width for edge in (x, x + step * 0.6)]
        draw.line([x, along[0], x + step * 0.6, along[1]], fill=fill, width=int(rng.integers(3, 9)))


def _slabs(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int) -> None:
    center, fill = rng.uniform(-0.5, 1.5) * width, random_color(rng)
    for x in np.linspace(-width, 2 * width, int(rng.integers(8, 20))):
        draw.line([center + (x - center) * 0.3, horizon, x, height], fill=fill, width=3)
    for fraction in np.linspace(0.2, 1.0, int(rng.integers(2, 5))) ** 2:
        y = horizon + fraction * (height - horizon)
        draw.line([0, y, width, y], fill=fill, width=3)


def _pole(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    x, thick = rng.uniform(0.02, 0.98) * width, rng.uniform(0.012, 0.045) * width
    draw.rectangle([x, 0, x + thick, height * rng.uniform(0.75, 1.0)], fill=shade(random_color(rng), 0.7))


def _bush(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    x, y = rng.uniform(0, width), height * rng.uniform(0.85, 1.02)
    _leaves(draw, rng, x, y, height * rng.uniform(0.07, 0.2))


def _rail(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    y, fill = height * rng.uniform(0.8, 0.97), shade(random_color(rng), 0.8)
    draw.line([0, y, width, y + height * rng.uniform(-0.05, 0.05)], fill=fill, width=int(height * 0.025) + 1)
