"""One scene to the bytes of one file: sound or corrupt, in many encodings, plain or augmented."""

import io
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tandem.sources.synthetic.scenes import Scene, render

Form = Literal[
    "JPEG", "PNG", "RGBA", "P", "P transparent", "CMYK", "I;16", "exif", "truncated", "not_an_image", "empty"
]
PLAIN_QUALITY = 90
_ORIENTATION_TAG = 0x0112
_TO_ORIENTATION = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
_HTML = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"
_MAX_ROTATION_DEG = 10.0
_MIN_CROP_SIDE = 0.9  # fraction of each side; 0.81 of the area


class FileSpec(NamedTuple):
    """How a scene becomes a file; the same scene and spec give the same bytes.

    scale: of the sides. augmented: 0 for the scene as it is, else the number of an augmented version.
    """

    form: Form = "JPEG"
    quality: int = PLAIN_QUALITY
    scale: float = 1.0
    augmented: int = 0


def encode_scene(scene: Scene, spec: FileSpec, *, seed: int) -> bytes:
    """The bytes of the file."""
    (data,) = encode_alike(scene, [spec], seed=seed)
    return data


def encode_alike(scene: Scene, specs: Iterable[FileSpec], *, seed: int) -> Iterator[bytes]:
    """The bytes of each file of one scene, which is drawn once."""
    image = None
    for spec in specs:
        if spec.form == "empty":
            yield b""
        elif spec.form == "not_an_image":
            yield f"{_HTML}<!-- {scene.id} -->\n".encode()
        else:
            image = image or render(scene, seed=seed)
            yield _encode_image(image, scene, spec, seed=seed)


def _encode_image(image: Image.Image, scene: Scene, spec: FileSpec, *, seed: int) -> bytes:
    if spec.scale != 1.0:
        size = (round(image.width * spec.scale), round(image.height * spec.scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    if spec.augmented:
        image = random_augmentation(image, np.random.default_rng([seed, *scene.id.encode(), spec.augmented]))
    return _encoded(image, spec, np.random.default_rng([seed, *scene.id.encode()]))


def random_augmentation(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brighter, darker or rotated; also up to two of: mirrored, cropped to 0.81 of the area or more, gray."""
    # mirrored or gray alone, two versions of one image would have the same bytes
    extras = rng.choice(["mirror", "crop", "gray"], rng.integers(0, 3), replace=False, p=[0.5, 0.4, 0.1])
    chosen = [rng.choice(["light", "turn"]), *extras]
    if "turn" in chosen:
        degrees = float(rng.uniform(-_MAX_ROTATION_DEG, _MAX_ROTATION_DEG))
        image = image.rotate(degrees, Image.Resampling.BILINEAR)
    if "crop" in chosen:
        image = _cropped(image, rng)
    if "mirror" in chosen:
        image = ImageOps.mirror(image)
    if "light" in chosen:
        image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.75, 1.25)))
    return image.convert("L").convert("RGB") if "gray" in chosen else image


def _cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = np.ceil(np.array(image.size) * rng.uniform(_MIN_CROP_SIDE, 1.0, 2)).astype(int)
    left, top = (int(rng.integers(0, room + 1)) for room in (image.width - width, image.height - height))
    return image.crop((left, top, left + int(width), top + int(height)))


def _encoded(image: Image.Image, spec: FileSpec, rng: np.random.Generator) -> bytes:
    if spec.form == "exif":
        return _sideways(image, spec.quality, rng)
    if spec.form == "truncated":
        whole = _jpeg(image, spec.quality)
        return whole[: int(len(whole) * rng.uniform(0.4, 0.7))]
    if spec.form in ("JPEG", "CMYK"):
        return _jpeg(image.convert("CMYK") if spec.form == "CMYK" else image, spec.quality)
    if spec.form == "P transparent":
        return _png(image.quantize(128), transparency=0)
    return _png(_in_mode(image, spec.form))


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
    transparent = image.convert("RGBA")
    transparent.putalpha(Image.fromarray(alpha))
    return transparent


def _sideways(image: Image.Image, quality: int, rng: np.random.Generator) -> bytes:
    orientation = int(rng.choice(list(_TO_ORIENTATION)))
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    buffer = io.BytesIO()
    image.transpose(_TO_ORIENTATION[orientation]).save(buffer, "JPEG", quality=quality, exif=exif)
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
