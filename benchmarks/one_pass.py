"""Both networks of the default over JPEG files in one pass, beside what its parts take: decoding, and each network.

    python benchmarks/one_pass.py --archives DIR [--images 384] [--json FILE]

DIR is as for benchmarks/scratch.py. Of so many JPEG files of its vehicles at 224 px, in batches of 16, by turns:
decoding and resizing on one core, MobileNetV2 and ResNet-50 (random weights, the whole network) by the stage's engine
on pixels that are in memory, files to features of both in one pass, as the stage `extract` does it, and of both in two.

The floor is the sum of the parts in time of a core, which other work on the machine moves less than the wall. Required
is 0.92 of it from files: in time of the cores, and, divided over the cores, in time, which takes an idle machine.

Prints required beside reached and exits 1 when a figure falls short. About two minutes on two idle cores.
"""

import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import ClassVar, NamedTuple

import numpy as np
from PIL import Image

from extraction import BACKBONE, weights_of
from figures import Figure, at_least, conclude, exactly, make_parser, reported
from finetuning import load_whole_backbone
from scratch import VEHICLES, WEIGHTS, require_files
from tandem.features.engines.base import Engine
from tandem.features.engines.engine import start_engine
from tandem.features.engines.together import run_together
from tandem.features.extract import extract
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.images.transforms import load_transformed
from tandem.seeding import single_threaded
from throughput import num_images

SETTINGS = ExtractSettings(size_px=224, resize="squash", interpolation="bilinear", tta_views=1, engine="auto", seed=0)
BATCH_SIZE, WORKERS = 16, 2
MIN_SIDE_PX = 200
NUM_ROUNDS = 5
LEAST = 0.92
PARTS = ("decoding", "mobilenet_v2", "resnet50")
ONE, TWO = "one pass", "two passes"


class CountedFile(type(Path())):  # type: ignore[misc] # a path of this system
    """A path that counts how often its file is read."""

    reads: ClassVar[list[str]] = []

    def read_bytes(self) -> bytes:
        self.reads.append(self.name)
        return super().read_bytes()


class Cost(NamedTuple):
    """Of an image, in ms: of all cores together, and as the wall shows it."""

    core_ms: float
    wall_ms: float


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--images", type=int, default=384)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values())
    weights = {BACKBONE: weights_of(archives / WEIGHTS), "resnet50": BackboneSettings(RANDOM)}
    engines = {
        name: start_engine(
            load_whole_backbone(name, of_network),
            engine=SETTINGS.engine,
            size_px=SETTINGS.size_px,
            batch_size=BATCH_SIZE,
            device="cpu",
        )
        for name, of_network in weights.items()
    }
    with tempfile.TemporaryDirectory(prefix="tandem-one-pass-") as work:
        paths = write_photographs(archives, Path(work), arguments.images)
        num_reads = count_reads(paths, run_together(list(engines.values())))
        ways = ways_to_measure(paths, engines)
        for run in ways.values():
            run()  # the first pass allocates
        rounds = [{way: cost_of(run) for way, run in ways.items()} for _ in range(NUM_ROUNDS)]
    conclude([*figures_of(rounds), exactly("files read in one pass", len(paths), num_reads)], arguments)


def write_photographs(archives: Path, folder: Path, count: int) -> list[Path]:
    """The first JPEG files of the vehicles, written to the folder."""
    found = islice(read_photographs(archives), count)
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for path, data in zip(paths, found, strict=True):
        path.write_bytes(data)
    return paths


def read_photographs(archives: Path) -> Iterator[bytes]:
    for name in VEHICLES.values():
        with zipfile.ZipFile(archives / name) as file:
            for member in sorted(file.namelist()):
                if member.lower().endswith((".jpg", ".jpeg")):
                    data = file.read(member)
                    image = Image.open(io.BytesIO(data))
                    if (image.format, image.mode) == ("JPEG", "RGB") and min(image.size) >= MIN_SIDE_PX:
                        yield data


def count_reads(paths: Sequence[Path], engine: Engine) -> int:
    """How many files a pass reads, each as often as it is read."""
    CountedFile.reads.clear()
    files_to_features([CountedFile(path) for path in paths], engine)
    return len(CountedFile.reads)


def ways_to_measure(paths: Sequence[Path], engines: Mapping[str, Engine]) -> dict[str, Callable[[], int]]:
    """By name, what is run by turns; each returns of how many images it was."""
    pixels = np.concatenate([decoded(path) for path in paths])
    together = run_together(list(engines.values()))
    return {
        "decoding": lambda: decode_on_one_core(paths),
        "mobilenet_v2": lambda: pixels_to_features(pixels, engines["mobilenet_v2"]),
        "resnet50": lambda: pixels_to_features(pixels, engines["resnet50"]),
        ONE: lambda: files_to_features(paths, together),
        TWO: lambda: min(files_to_features(paths, engine) for engine in engines.values()),
    }


def decoded(path: Path) -> np.ndarray:
    return load_transformed(
        path.read_bytes(), size_px=SETTINGS.size_px, resize=SETTINGS.resize, interpolation=SETTINGS.interpolation
    )


def decode_on_one_core(paths: Sequence[Path]) -> int:
    with single_threaded():
        for path in paths:
            decoded(path)
    return len(paths)


def pixels_to_features(pixels: np.ndarray, engine: Engine) -> int:
    batches = (pixels[at : at + BATCH_SIZE] for at in range(0, len(pixels), BATCH_SIZE))
    return num_images(engine.embed(batches))


def files_to_features(paths: Sequence[Path], engine: Engine) -> int:
    return num_images(
        extract(paths, engine=engine, settings=SETTINGS, batch_size=BATCH_SIZE, workers=WORKERS, name="both")
    )


def cost_of(run: Callable[[], int]) -> Cost:
    started, cores_started = time.perf_counter(), time.process_time()
    number = run()
    return Cost(1000 * (time.process_time() - cores_started) / number, 1000 * (time.perf_counter() - started) / number)


def figures_of(rounds: Sequence[Mapping[str, Cost]]) -> list[Figure]:
    """Medians over the rounds; ratios are of one round each."""
    num_cores = os.cpu_count() or 1
    floors = [sum(costs[part].core_ms for part in PARTS) for costs in rounds]
    figures = [
        reported(f"{way}, core-ms an image", median(costs[way].core_ms for costs in rounds), ".2f") for way in rounds[0]
    ]
    figures.append(reported("floor: the sum of decoding and both networks, core-ms", median(floors), ".2f"))
    for way in (ONE, TWO):
        of_cores = median(floor / costs[way].core_ms for floor, costs in zip(floors, rounds, strict=True))
        of_time = median(floor / num_cores / costs[way].wall_ms for floor, costs in zip(floors, rounds, strict=True))
        named = (f"{way}: fraction of the floor, of the cores' time", f"{way}: fraction of the floor, of the wall")
        for what, fraction in zip(named, (of_cores, of_time), strict=True):
            figures.append(at_least(what, LEAST, fraction) if way == ONE else reported(what, fraction))
    return figures


if __name__ == "__main__":
    main()
