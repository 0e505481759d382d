"""One scene: a vehicle of a class in a place, seen from somewhere in some weather."""

from collections.abc import Callable
from typing import NamedTuple, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tandem.sources.synthetic.backdrops import backdrop, clouds, cover
from tandem.sources.synthetic.cycles import bicycle, motorcycle
from tandem.sources.synthetic.folders import ClassName
from tandem.sources.synthetic.shapes import Pen, Shape
from tandem.sources.synthetic.vehicles import bus, car, truck

_VEHICLES: dict[ClassName, Callable[[Pen, np.random.Generator], None]] = {
    "car": car,
    "motorcycle": motorcycle,
    "truck": truck,
    "bus": bus,
    "bicycle": bicycle,
}
_OVERSAMPLING = 2  # rendered this many times larger, then reduced: smooth edges
_MIN_SIDE_PX, _MAX_SIDE_PX = 96, 200


class Scene(NamedTuple):
    """class_name: of the vehicle that it really shows. number: of the scene within its class."""

    class_name: ClassName
    number: int

    @property
    def id(self) -> str:
        """The scene's name, unique among all scenes of one seed."""
        return f"{self.class_name}-{self.number:03d}"


def render(scene: Scene, *, seed: int) -> Image.Image:
    """RGB image with sides of 96 to 200 px; the same scene and seed give the same pixels."""
    rng = np.random.default_rng([seed, get_args(ClassName).index(scene.class_name), scene.number])
    width = int(rng.integers(_MIN_SIDE_PX + 16, _MAX_SIDE_PX + 1))
    height = int(np.clip(width * rng.uniform(0.6, 1.1), _MIN_SIDE_PX, _MAX_SIDE_PX))
    image = backdrop(rng, width * _OVERSAMPLING, height * _OVERSAMPLING)
    _paint(image, _placed(_vehicle(scene.class_name, rng), rng, image.width, image.height))
    cover(image, rng)
    return _weather(image.resize((width, height), Image.Resampling.BOX), rng)


def _vehicle(class_name: ClassName, rng: np.random.Generator) -> list[Shape]:
    yaw = rng.uniform(-0.85, 0.85)
    pen = Pen(yaw=yaw, pitch=rng.uniform(0.04, 0.3), closeness=rng.uniform(0, 0.03))
    _VEHICLES[class_name](pen, rng)
    return pen.shapes


def _placed(shapes: list[Shape], rng: np.random.Generator, width: int, height: int) -> list[Shape]:
    """The shapes in pixels, y down: mirrored or not, tilted, scaled to a part of the image, put somewhere."""
    tilt, facing = rng.uniform(-0.08, 0.08), rng.choice([-1.0, 1.0])
    turn = np.array([[facing, rng.uniform(-0.06, 0.06)], [facing * tilt, -1.0]])
    corners = np.concatenate([shape.points for shape in shapes]) @ turn.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.array([width, height])
    scale = float((room / (high - low)).min() * rng.uniform(0.74, 1.0))
    slack = room - scale * (high - low)
    offset = slack * rng.uniform([0, 0.1], [1, 0.95]) - scale * low
    return [Shape(s.points @ turn.T * scale + offset, s.fill, s.width * scale) for s in shapes]


def _paint(image: Image.Image, shapes: list[Shape]) -> None:
    _cast_shadow(image, shapes)
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        points = [(float(x), float(y)) for x, y in shape.points]
        if shape.width:
            draw.line(points, fill=shape.fill, width=max(1, round(shape.width)), joint="curve")
        else:
            draw.polygon(points, fill=shape.fill)


def _cast_shadow(image: Image.Image, shapes: list[Shape]) -> None:
    corners = np.concatenate([shape.points for shape in shapes])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    deep = 0.09 * (bottom - top)
    over = ImageDraw.Draw(image, "RGBA")
    over.ellipse([left, bottom - 1.6 * deep, right, bottom + 0.6 * deep], fill=(0, 0, 0, 110))


def _weather(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur, uneven light, contrast, a color cast and noise."""
    soft = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 0.8)))
    light = 1 + rng.uniform(0, 0.3) * clouds(rng, image.width, image.height)[:, :, None]
    cast = rng.uniform(0.97, 1.03, 3) * rng.uniform(0.55, 1.2)
    pixels = (np.asarray(soft, dtype=np.float32) * light * cast - 128) * rng.uniform(0.75, 1.1) + 128
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(1, 9)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
