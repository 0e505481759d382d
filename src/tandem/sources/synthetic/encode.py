"""One scene to the bytes of one file: sound or damaged, in many encodings, plain or as an augmented copy."""

import io
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tandem.sources.synthetic.scenes import Scene, render

Form = Literal[
    "JPEG", "PNG", "RGBA", "P", "P transparent", "CMYK", "I;16", "exif", "truncated", "not_an_image", "empty"
]
PLAIN_QUALITY = 90
_ORIENTATION_TAG = 0x0112
_TURNED_BACK = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
_HTML = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"
_GREATEST_TURN_DEG = 10.0
_LEAST_KEPT_SIDE = 0.9  # of each side; 0.81 of the area


class FileCopy(NamedTuple):
    """How a file shows its scene; equal copies of one scene are equal bytes.

    scale: of the sides. augmented: 0 for the scene as it is, else the number of an augmented version.
    """

    form: Form = "JPEG"
    quality: int = PLAIN_QUALITY
    scale: float = 1.0
    augmented: int = 0


def content(scene: Scene, copy: FileCopy, *, seed: int) -> bytes:
    """The bytes of the file."""
    if copy.form == "empty":
        return b""
    if copy.form == "not_an_image":
        return f"{_HTML}<!-- {scene.id} -->\n".encode()
    image = render(scene, seed=seed)
    if copy.scale != 1.0:
        size = (round(image.width * copy.scale), round(image.height * copy.scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    if copy.augmented:
        image = random_augmentation(image, np.random.default_rng([seed, *scene.id.encode(), copy.augmented]))
    return _encoded(image, copy, np.random.default_rng([seed, *scene.id.encode()]))


def random_augmentation(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lighter or darker or turned; also up to two of: mirrored, cropped to 0.81 of the area or more, grey."""
    # mirroring and greying alone would give two versions of one image the same bytes
    extras = rng.choice(["mirror", "crop", "grey"], rng.integers(0, 3), replace=False, p=[0.5, 0.4, 0.1])
    chosen = [rng.choice(["light", "turn"]), *extras]
    if "turn" in chosen:
        degrees = float(rng.uniform(-_GREATEST_TURN_DEG, _GREATEST_TURN_DEG))
        image = image.rotate(degrees, Image.Resampling.BILINEAR)
    if "crop" in chosen:
        image = _cropped(image, rng)
    if "mirror" in chosen:
        image = ImageOps.mirror(image)
    if "light" in chosen:
        image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.75, 1.25)))
    return image.convert("L").convert("RGB") if "grey" in chosen else image


def _cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = np.ceil(np.array(image.size) * rng.uniform(_LEAST_KEPT_SIDE, 1.0, 2)).astype(int)
    left, top = (int(rng.integers(0, room + 1)) for room in (image.width - width, image.height - height))
    return image.crop((left, top, left + int(width), top + int(height)))


def _encoded(image: Image.Image, copy: FileCopy, rng: np.random.Generator) -> bytes:
    if copy.form == "exif":
        return _sideways(image, copy.quality, rng)
    if copy.form == "truncated":
        whole = _jpeg(image, copy.quality)
        return whole[: int(len(whole) * rng.uniform(0.4, 0.7))]
    if copy.form in ("JPEG", "CMYK"):
        return _jpeg(image.convert("CMYK") if copy.form == "CMYK" else image, copy.quality)
    if copy.form == "P transparent":
        return _png(image.quantize(128), transparency=0)
    return _png(_in_mode(image, copy.form))


def _in_mode(image: Image.Image, form: Form) -> Image.Image:
    if form == "RGBA":
        return _with_soft_corners(image)
    if form == "P":
        return image.quantize(128)
    if form == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * np.uint16(257))
    return image


def _with_soft_corners(image: Image.Image) -> Image.Image:
    x, y = np.meshgrid(np.linspace(-1, 1, image.width), np.linspace(-1, 1, image.height))
    alpha = np.clip(255 * (2.6 - 1.3 * np.hypot(x, y)), 0, 255).astype(np.uint8)
    seen = image.convert("RGBA")
    seen.putalpha(Image.fromarray(alpha))
    return seen


def _sideways(image: Image.Image, quality: int, rng: np.random.Generator) -> bytes:
    orientation = int(rng.choice(list(_TURNED_BACK)))
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    buffer = io.BytesIO()
    image.transpose(_TURNED_BACK[orientation]).save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(image: Image.Image, transparency: int | None = None) -> bytes:
    buffer = io.BytesIO()
    # transparency=None would be written as if it were set
    options = {} if transparency is None else {"transparency": transparency}
    image.save(buffer, "PNG", compress_level=4, **options)
    return buffer.getvalue()
