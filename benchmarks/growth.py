"""How the stages grow with the number of images: time an image, and peak memory.

    python benchmarks/growth.py [--sizes 1000 10000 20000 100000] [--curate-to 20000] [--json FILE]

Draws small images that are all different, packs them as one archive of class folders for each size, and runs the
stages download, merge, extract (MobileNetV2, random weights, 32 px) and curate in a scratch clone, each as a process of
its own. Required: an image costs at most 1.3 times as much of the cores' time, which other work on the machine moves
less than the wall, in the largest set as in that of 10,000 (the one before, if that is not there), and peak memory
grows from the smallest to the one of 20,000 by at most a fifth, but for the tables of rows, which must be held
somewhere: the bytes of rows.npy and hashes.npy are allowed on top, four times over. curate searches all pairs exactly,
which grows with the square: its time is told and not required, and sets of more images than --curate-to are left out.
Prints required beside reached and exits 1 when a figure falls short. About fifteen minutes on two idle cores; curate on
100,000 images takes over half an hour more.
"""

import argparse
import io
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

import real_photos
from figures import Figure, conclude
from tandem.files import sha256

SIDE_PX = 48
CLASSES = ("one", "two", "three")
STAGES = (("download", "drawn"), ("merge",), ("extract", "mobilenet_v2"), ("curate",))
SQUARE = "curate"  # its exact search
GROWTH = 1.3  # of the time an image
BASE = 10_000  # images
MEMORY = 1.2
FLAT_TO = 20_000  # images
TABLES = 4  # times that the tables of rows may be held
# Starts a command and prints its wall time, the cores' time and its peak memory. A process of its own: a child counts
# the memory of the parent that it was forked from, and this one is small.
MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""


class Cost(NamedTuple):
    """Of one stage: wall time, the time of all cores together, and the most memory that it held."""

    seconds: float
    core_seconds: float
    megabytes: float


class Grown(NamedTuple):
    """All stages on one number of images. table_megabytes: of the feature rows and hashes."""

    images: int
    costs: dict[str, Cost]
    table_megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 20_000, 100_000])
    parser.add_argument("--curate-to", type=int, default=FLAT_TO)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    grown = []
    for images in sorted(arguments.sizes):
        with tempfile.TemporaryDirectory(prefix="tandem-growth-") as work:
            grown.append(run(Path(work), images, with_square=images <= arguments.curate_to))
    print(f"\n{platform.machine()}, {platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    conclude([*told(grown), *times(grown), *memory(grown)], arguments.json)


def run(work: Path, images: int, *, with_square: bool) -> Grown:
    """The stages on so many images, in a scratch clone below `work`; with_square: also that of the exact search."""
    clone = work / "clone"
    drawn_clone(clone, images)
    costs = {stage[0]: cost(clone, *stage) for stage in STAGES if with_square or stage[0] != SQUARE}
    tables = [clone / "data/extract/mobilenet_v2/rows.npy", clone / "data/merge/hashes.npy"]
    return Grown(images, costs, sum(path.stat().st_size for path in tables) / 1e6)


def drawn_clone(clone: Path, images: int) -> None:
    """A scratch clone whose one source is an archive beside it of so many drawn images."""
    archive = clone.with_suffix(".zip")
    archive.parent.mkdir(parents=True, exist_ok=True)
    pack(archive, images)
    real_photos.prepare(clone, "sample", clone.parent, {})
    values = real_photos.read_params(clone)
    values["sources"] = {
        "drawn": {"kind": "archive", "archive": {"path": str(archive), "sha256": sha256(archive)}, "format": "auto"}
    }
    values["labels"] = {"classes": {name: [] for name in CLASSES}, "ignore": [], "by_source": {}}
    values["extract"]["size_px"] = 32
    # drawn at random, these images are alike to a random backbone: pairs that are near would be all there are
    values["curate"]["candidates"] = {"similarity": 0.99999, "hash_bits": 4, "neighbors": 1}
    real_photos.write_params(clone, values)


def pack(archive: Path, images: int) -> None:
    """A zip of drawn images in class folders."""
    with zipfile.ZipFile(archive, "w") as file:
        for number, data in enumerate(tqdm(drawn(images), "draw", total=images, unit="image", disable=None)):
            file.writestr(f"drawn/{CLASSES[number % len(CLASSES)]}/{number:06}.jpg", data)


def drawn(images: int) -> Iterator[bytes]:
    """Soft colored patches, each image by a seed of its own, as JPEG."""
    for number in range(images):
        patches = np.random.default_rng(number).integers(256, size=(6, 6, 3), dtype=np.uint8)
        image, data = Image.fromarray(patches).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), io.BytesIO()
        image.save(data, "JPEG", quality=85)
        yield data.getvalue()


def cost(clone: Path, stage: str, *arguments: str) -> Cost:
    """Run a stage's script with this Python and the clone's own code."""
    command = [sys.executable, "-c", MEASURE, sys.executable, f"stages/{stage}.py", *arguments]
    done = subprocess.run(
        command, cwd=clone, env={**os.environ, "PYTHONPATH": str(clone / "src")}, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(f"error: the stage {stage} failed; see above")
    seconds, core_seconds, peak = done.stdout.split()[-3:]
    return Cost(float(seconds), float(core_seconds), int(peak) * (1 if sys.platform == "darwin" else 1024) / 1e6)


def told(grown: list[Grown]) -> list[Figure]:
    return [
        Figure(
            f"{stage}: {size.images} images, s, and core-ms an image",
            None,
            f"{size.costs[stage].seconds:.1f}, {milliseconds(size, stage):.2f}",
            0.0,
            True,
        )
        for stage, *_ in STAGES
        for size in grown
        if stage in size.costs
    ]


def times(grown: list[Grown]) -> list[Figure]:
    """Of the largest set against that of BASE, or the one before."""
    figures = []
    for before, after in list(pairwise(grown))[-1:]:
        before = next((size for size in grown[:-1] if size.images == BASE), before)
        for stage in after.costs:
            ratio, is_free = milliseconds(after, stage) / milliseconds(before, stage), stage == SQUARE
            what = f"{stage}: time an image, {after.images} against {before.images}"
            required = None if is_free else f"<= {GROWTH}"
            figures.append(Figure(what, required, f"{ratio:.2f}", ratio, is_free or ratio <= GROWTH))
    return figures


def memory(grown: list[Grown]) -> list[Figure]:
    figures = []
    first, last = grown[0], max((size for size in grown if size.images <= FLAT_TO), key=lambda size: size.images)
    for stage in last.costs:
        tables = TABLES * (last.table_megabytes - first.table_megabytes)
        ratio = max(last.costs[stage].megabytes - tables, 0) / first.costs[stage].megabytes
        what = f"{stage}: peak memory, {last.images} against {first.images}, but tables"
        text = f"{ratio:.2f} ({last.costs[stage].megabytes:.0f} MB)"
        figures.append(Figure(what, f"<= {MEMORY}", text, ratio, ratio <= MEMORY))
    return figures


def milliseconds(size: Grown, stage: str) -> float:
    """An image's share of the time of all cores."""
    return 1000 * size.costs[stage].core_seconds / size.images


if __name__ == "__main__":
    main()
