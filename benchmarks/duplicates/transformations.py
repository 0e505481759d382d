"""Transformations that make a near duplicate of an image, each with a random generator for its strength."""

import random
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from tandem.images.decode import decode

MIN_KEPT, CUT_TO = 0.75, 0.6  # of the area, by a crop

Transformation = Callable[[Image.Image, random.Random], Image.Image]


def reencoded(image: Image.Image, _: random.Random) -> Image.Image:
    return jpeg(image, quality=30)


def halved(image: Image.Image, _: random.Random) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS)


def stretched(image: Image.Image, rng: random.Random) -> Image.Image:
    x, y = rng.choice([(1.3, 1.0), (1.0, 1.3)])
    return image.resize((round(image.width * x), round(image.height * y)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, rng: random.Random) -> Image.Image:
    scale = rng.uniform(MIN_KEPT, 0.95) ** 0.5
    width, height = -int(-image.width * scale // 1), -int(-image.height * scale // 1)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def flipped(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.mirror(image)


def rotated(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.rotate(rng.choice([-1, 1]) * rng.uniform(5, 15), Image.Resampling.BICUBIC)


def turned(image: Image.Image, rng: random.Random) -> Image.Image:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return image.transpose(rng.choice(turns))


def tilted(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.rotate(rng.choice([-25, 25]), Image.Resampling.BICUBIC)


def upended(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.flip(image)


def cut(image: Image.Image, rng: random.Random) -> Image.Image:
    width, height = (-int(-side * CUT_TO**0.5 // 1) for side in image.size)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def watermarked(image: Image.Image, rng: random.Random) -> Image.Image:
    """A light text on a dark plate, half transparent, a third of the width, anywhere."""
    width, height = max(30, image.width // 3), max(12, image.height // 8)
    plate = Image.new("RGB", (150, 24), "black")
    ImageDraw.Draw(plate).text((6, 6), "(c) photos.example.com", fill="white")
    place = rng.randint(0, max(0, image.width - width)), rng.randint(0, max(0, image.height - height))
    canvas = image.copy()
    canvas.paste(plate.resize((width, height), Image.Resampling.BICUBIC), place)
    return Image.blend(image, canvas, 0.6)


def grayed(image: Image.Image, _: random.Random) -> Image.Image:
    return image.convert("L").convert("RGB")


def brightened(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.choice([0.6, 1.4]))


def blurred(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 640 * rng.uniform(2, 4)))


def letterboxed(image: Image.Image, rng: random.Random) -> Image.Image:
    side = max(image.size) if image.width != image.height else round(image.width * 1.3)
    square = Image.new("RGB", (side, side), rng.choice(["black", "white", "gray"]))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def captioned(image: Image.Image, _: random.Random) -> Image.Image:
    bar = max(8, round(image.height * 0.15))
    canvas = Image.new("RGB", (image.width, image.height + bar), "white")
    canvas.paste(image, (0, 0))
    ImageDraw.Draw(canvas).text((5, image.height + bar // 3), "for sale, call now 555-0199", fill="black")
    return canvas


TRANSFORMATIONS: dict[str, Transformation] = {
    "re-encoded, quality 30": reencoded,
    "half size": halved,
    "stretched": stretched,
    "cropped": cropped,
    "flipped": flipped,
    "rotated 5-15 degrees": rotated,
    "turned 90/180/270": turned,
    "grayed": grayed,
    "brightness 0.6/1.4": brightened,
    "blurred": blurred,
    "letterboxed": letterboxed,
    "captioned": captioned,
    "rotated 25 degrees": tilted,
    "upside down mirrored": upended,
    "cropped to 60 %": cut,
    "watermarked": watermarked,
}


def jpeg(image: Image.Image, *, quality: int) -> Image.Image:
    ok, data = cv2.imencode(".jpg", np.asarray(image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return decode(data.tobytes(), min_side_px=1, max_pixels=2**63).image
