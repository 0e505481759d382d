"""What a camera's photographs of 12 megapixels cost: once, when they are stored, and at each later pass.

    python benchmarks/camera.py [--photos N] [--json FILE]

Photographs drawn by code, 4000 x 3000 pixels, saved as JPEG at quality 90, are taken in turns; each figure is the
median of the rounds' times or ratios, by the process's time of all cores. `encode_images` stores them at most 640 px
large. Beside it stands libjpeg's decode to a quarter alone, which is the least that it takes to see them, and what the
merge of commit ba2ba50 did for each file: a full decode, an id of all pixels, hashes, a copy of the file. A later pass
is `load_transformed` at 224 px of what was stored, beside the same of the photograph scaled and saved by Pillow as JPEG
at quality 90.

Prints required beside reached and exits 1 when a figure falls short. About a minute.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from figures import Figure, at_most, conclude, make_parser, reported
from tandem.images.decode import pixel_id
from tandem.images.encoding import encode_images
from tandem.images.hashing import dihedral_phashes
from tandem.images.identity import jpeg_id
from tandem.images.quality import measure_quality
from tandem.images.transforms import load_transformed

WIDTH, HEIGHT, QUALITY, SIDE_PX, SIZE_PX = 4000, 3000, 90, 640, 224
SMALL = (SIDE_PX, SIDE_PX * HEIGHT // WIDTH)
NUM_ROUNDS, NUM_PASSES = 9, 200  # passes are short, and so need more turns
MAX_OF_DECODE, MAX_OF_MERGE, MAX_OF_PASS = 2.0, 0.35, 1.3
OCTAVES_PX = {2048: 60, 512: 40, 128: 25, 32: 12, 8: 5}  # size of details -> their contrast, in gray values
COLOR_OCTAVES_PX = {1024: 30, 128: 10, 32: 4}
NOISE = 3.6  # of the sensor, in gray values
ORIENTATION_TAG, TURNED = 0x0112, 6
Calls = list[Callable[[], object]]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--photos", type=int, default=3)
    arguments = parser.parse_args()
    photos = [drawn_photo(seed) for seed in range(arguments.photos)]
    files = [jpeg(photo) for photo in photos]
    turned = Image.Exif()
    turned[ORIENTATION_TAG] = TURNED
    turned_files = [jpeg(photo, exif=turned) for photo in photos]
    small_files = [jpeg(photo.resize(SMALL, Image.Resampling.LANCZOS)) for photo in photos]
    with tempfile.TemporaryDirectory(prefix="tandem-camera-") as folder:
        path = Path(folder) / "image"
        once = ms_by_turns(
            {
                "decode": each(scaled_decode, files),
                "store": each(partial(write_stored, path=path), files),
                "turned": each(partial(write_stored, path=path), turned_files),
                "merge": each(partial(merge_before, path=path), files),
                "id": each(partial(jpeg_id, orientation=1), files),
                "scale": each(scaled, map(scaled_decode, files)),
                "describe": each(described, map(gray_of, small_files)),
            },
            num_rounds=NUM_ROUNDS,
        )
    stored_files = [stored(data) for data in files]
    later = ms_by_turns(
        {"stored": each(later_pass, stored_files), "saved": each(later_pass, small_files)}, num_rounds=NUM_PASSES
    )
    sizes = {"files": files, "stored": stored_files, "saved": small_files}
    conclude([*once_figures(once), *later_figures(later), *size_figures(sizes)], arguments)


def drawn_photo(seed: int) -> Image.Image:
    """Details of all sizes, less of them in its colors, and the noise of a sensor."""
    rng = np.random.default_rng(seed)
    gray = 128 + smooth(rng, OCTAVES_PX) + rng.normal(scale=NOISE, size=(HEIGHT, WIDTH)).astype(np.float32)
    channels = [gray, *(128 + smooth(rng, COLOR_OCTAVES_PX) for _ in range(2))]
    bands = [Image.fromarray(channel.clip(0, 255).astype(np.uint8)) for channel in channels]
    return Image.merge("YCbCr", bands).convert("RGB")


def smooth(rng: np.random.Generator, octaves: Mapping[int, int]) -> np.ndarray:
    """(HEIGHT, WIDTH) float32."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for size_px, contrast in octaves.items():
        coarse = rng.normal(scale=contrast, size=(HEIGHT // size_px + 2, WIDTH // size_px + 2)).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return total


def jpeg(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, exif=exif or Image.Exif())
    return buffer.getvalue()


def scaled_decode(data: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(data, "RGB", min_width=SMALL[0], min_height=SMALL[1])


def stored(data: bytes) -> bytes:
    return encode_images(data, [None], min_side_px=8, max_pixels=10**8, max_side_px=SIDE_PX)[None].data


def write_stored(data: bytes, path: Path) -> None:
    path.write_bytes(stored(data))


def merge_before(data: bytes, path: Path) -> None:
    """What the merge of commit ba2ba50 did, but for the digest of the file."""
    image = Image.open(io.BytesIO(data))
    image.load()
    image.getexif()
    upright = image.convert("RGB")
    pixel_id(upright)
    dihedral_phashes(upright)
    path.write_bytes(data)


def scaled(pixels: np.ndarray) -> bytes:
    small = Image.fromarray(pixels).resize(SMALL, Image.Resampling.BICUBIC)
    return simplejpeg.encode_jpeg(np.asarray(small), QUALITY, "RGB", "444")


def gray_of(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("L")


def described(gray: Image.Image) -> None:
    dihedral_phashes(gray)
    measure_quality(gray)


def later_pass(data: bytes) -> np.ndarray:
    return load_transformed(data, size_px=SIZE_PX, resize="squash", interpolation="bilinear")


def each(function: Callable[[Any], object], values: Iterable[Any]) -> Calls:
    return [partial(function, value) for value in values]


def ms_by_turns(computed: Mapping[str, Calls], *, num_rounds: int) -> dict[str, np.ndarray]:
    """Name -> (num_rounds,) ms of all cores that one of its calls takes; the names take turns."""
    found = {name: np.zeros(num_rounds) for name in computed}
    for turn in range(-1, num_rounds):  # the first one warms up
        for name, calls in computed.items():
            started = time.process_time()
            for call in calls:
                call()
            if turn >= 0:
                found[name][turn] = (time.process_time() - started) * 1000 / len(calls)
    return found


def once_figures(ms: Mapping[str, np.ndarray]) -> list[Figure]:
    store = ms["store"]
    return [
        reported("libjpeg's scaled decode alone, core-ms", median(ms["decode"]), ".1f"),
        reported("encode_images, core-ms", median(store), ".1f"),
        reported("of it the id by the file's bytes, core-ms", median(ms["id"]), ".1f"),
        reported("of it scaling to 640 px and the JPEG, core-ms", median(ms["scale"]), ".1f"),
        reported("of it hashes and quality, core-ms", median(ms["describe"]), ".1f"),
        reported("the merge of ba2ba50, core-ms", median(ms["merge"]), ".1f"),
        at_most("encode_images over the scaled decode", MAX_OF_DECODE, median(store / ms["decode"]), ".2f"),
        at_most("the same, turned by EXIF", MAX_OF_DECODE, median(ms["turned"] / ms["decode"]), ".2f"),
        at_most("encode_images over the merge of ba2ba50", MAX_OF_MERGE, median(store / ms["merge"]), ".2f"),
    ]


def later_figures(ms: Mapping[str, np.ndarray]) -> list[Figure]:
    return [
        reported("a later pass of a JPEG of 640 px at quality 90, core-ms", median(ms["saved"]), ".2f"),
        reported("a later pass of what is stored, core-ms", median(ms["stored"]), ".2f"),
        at_most("a later pass, over that of the JPEG", MAX_OF_PASS, median(ms["stored"] / ms["saved"]), ".2f"),
    ]


def size_figures(files: Mapping[str, Sequence[bytes]]) -> list[Figure]:
    means = {name: float(np.mean([len(data) for data in found])) for name, found in files.items()}
    return [
        reported("the photograph's file, MB", means["files"] / 1e6, ".2f"),
        reported("what is stored of it, KB", means["stored"] / 1e3, ".0f"),
        reported("the JPEG of 640 px, KB", means["saved"] / 1e3, ".0f"),
    ]


def median(values: np.ndarray) -> float:
    return float(np.median(values))


if __name__ == "__main__":
    main()
