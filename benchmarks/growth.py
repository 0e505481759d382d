"""How the stages grow with the number of images: time an image, peak memory, and a run with nothing to do.

    python benchmarks/growth.py [--sizes 1000 10000 20000 100000] [--curate-to 20000] [--early]
                                [--folder DIR] [--rounds 5] [--json FILE]

Generates small images that are all different, packs them as one archive of class folders for each size, and runs the
stages download, ingest, merge, extract (MobileNetV2, random weights, 32 px, no stored features) and curate in a scratch
clone, each as a process of its own. Required: an image costs at most 1.3 times as much of the cores' time, which other
work on the machine moves less than the wall, in the largest set as in that of 10,000 (the one before, if that is not
there), and peak memory grows from the smallest to the one of 20,000 by at most a fifth, but for features and hashes,
which must be held somewhere: the bytes of features.npy and hashes.npy are allowed on top, four times over. Sets of more
images than --curate-to are left out for curate, which takes the longest; benchmarks/million.py goes on with its parts.

--early: curate on the size of 20,000 once more by the code of commit ba2ba50, which must be in the history here, in its
own clone of the same images. Required is at most 0.4 of its core time. No stage of any size may hold more than 4 GB.

--folder: where the clones stay, and what was measured, so that a run that was interrupted goes on. Of changed code
nothing is measured anew: remove what is to be, such as DIR/*/curate.json.

Then `dvc repro` of extract with nothing to do, in the clones of all sizes by turns, the least of five rounds: required
is at most twice as long for the largest set as for the smallest. --rounds 0 leaves that out.

Prints required beside reached and exits 1 when a figure falls short. About fifteen minutes on two idle cores; curate on
100,000 images takes over half an hour more.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from figures import Figure, at_most, conclude, make_parser, reported
from scratch import ROOT, make_clone, read_params, run, write_params
from tandem.cache.store import CACHE_DIR
from tandem.files import atomic_file, read_json, sha256, write_json

SIDE_PX = 48
CLASSES = ("one", "two", "three")
STAGES = (("download", "generated"), ("ingest", "generated"), ("merge",), ("extract", "mobilenet_v2"), ("curate",))
SLOWEST = "curate"
LAST = "extract@mobilenet_v2"  # stage that a run with nothing to do ends with, at all sizes
NUM_ROUNDS = 5
MAX_NOTHING_GROWTH = 2  # of a run with nothing to do, from the smallest set to the largest
MAX_GROWTH = 1.3  # of the time an image
BASE = 10_000  # images
MAX_MEMORY_GROWTH = 1.2
MAX_MEGABYTES = 4_000
FLAT_TO = 20_000  # images
EARLY, MAX_OF_EARLY = "ba2ba50", 0.4
TABLES = 4  # times that features and hashes may be held
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


class Measured(NamedTuple):
    """All stages on one number of images. table_megabytes: of features and hashes."""

    num_images: int
    costs: dict[str, Cost]
    table_megabytes: float

    def core_ms(self, stage: str) -> float:
        """Milliseconds of all cores an image."""
        return 1000 * self.costs[stage].core_seconds / self.num_images


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 20_000, 100_000])
    parser.add_argument("--curate-to", type=int, default=FLAT_TO)
    parser.add_argument("--early", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=NUM_ROUNDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-growth-") as temporary:
        work = arguments.folder.resolve() if arguments.folder else Path(temporary)
        clones = {number: work / str(number) / "clone" for number in sorted(arguments.sizes)}
        sizes = [
            measure(clone, num_images, with_slowest=num_images <= arguments.curate_to)
            for num_images, clone in clones.items()
        ]
        nothing = nothing_to_do(clones, arguments.rounds) if arguments.rounds else {}
        early = early_core_ms(work / "early", FLAT_TO) if arguments.early else None
    figures = [*all_costs(sizes), *time_growth(sizes), *memory_growth(sizes), most_memory(sizes)]
    figures += nothing_growth(nothing) if nothing else []
    if early is not None:
        figures += early_figures(early, next(size for size in sizes if size.num_images == FLAT_TO))
    conclude(figures, arguments)


def measure(clone: Path, num_images: int, *, with_slowest: bool) -> Measured:
    """The stages on so many images, in a scratch clone that is made; with_slowest: also the slowest."""
    make_generated_clone(clone, num_images)
    run(clone, sys.executable, "stages/check.py")  # which lists the code that the stages run
    costs = {stage[0]: kept_cost(clone, *stage) for stage in STAGES if with_slowest or stage[0] != SLOWEST}
    tables = [clone / "data/extract/mobilenet_v2/features.npy", clone / "data/merge/hashes.npy"]
    measured = Measured(num_images, costs, sum(path.stat().st_size for path in tables) / 1e6)
    sys.stderr.write(f"{measured}\n")  # the figures come at the end, which may be long after it
    return measured


def kept_cost(clone: Path, stage: str, *arguments: str) -> Cost:
    """What the stage took here before, or what it takes now."""
    path = clone.with_name(f"{stage}.json")
    if not path.exists():
        write_json(path, stage_cost(clone, stage, *arguments)._asdict())
    return Cost(**read_json(path))


def early_core_ms(folder: Path, num_images: int) -> float:
    """Core-ms an image of curate by the early code, by its own benchmark."""
    if not (folder / "figures.json").exists():
        run_early(folder, num_images)
    figures = read_json(folder / "figures.json")
    what = f"curate: {num_images} pictures, s, and core-ms a picture"
    [reached] = [figure["reached"] for figure in figures if figure["what"] == what]
    return float(reached.split(", ")[1])


def run_early(folder: Path, num_images: int) -> None:
    """Run the early code's own benchmark, which writes figures.json into the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", EARLY], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    for command in (["init", "--quiet"], ["add", "--all"]):  # its benchmark copies what git lists
        subprocess.run(["git", *command], cwd=folder, check=True)
    sizes = ["--sizes", str(num_images), "--json", "figures.json"]
    variables = {**os.environ, "PYTHONPATH": str(folder / "src")}
    subprocess.run([sys.executable, "benchmarks/growth.py", *sizes], cwd=folder, env=variables)  # 1 where it fell short


def early_figures(early_ms: float, now: Measured) -> list[Figure]:
    """Of curate on one number of images."""
    what = f"curate: time of {now.num_images} images, of that at {EARLY}"
    return [
        reported(f"curate at {EARLY}: {now.num_images} images, ms of all cores an image", early_ms, ".2f"),
        at_most(what, MAX_OF_EARLY, now.core_ms(SLOWEST) / early_ms, ".2f"),
    ]


def nothing_to_do(clones: Mapping[int, Path], num_rounds: int) -> dict[int, Cost]:
    """Of `dvc repro` where nothing changed, in each clone by turns: the round of the least wall. clones: by size."""
    for clone in clones.values():
        run(clone, sys.executable, "stages/check.py")
        run(clone, sys.executable, "-m", "dvc", "commit", "--quiet", "--force", "--with-deps", LAST)
    rounds = [
        {size: command_cost(clone, sys.executable, "-m", "dvc", "repro", LAST) for size, clone in clones.items()}
        for _ in range(1 + num_rounds)  # the first looks at files that DVC has not seen since it wrote them
    ]
    return {size: min(costs[size] for costs in rounds[1:]) for size in clones}


def make_generated_clone(clone: Path, num_images: int) -> None:
    """A scratch clone whose one source is an archive beside it of so many generated images."""
    archive = clone.with_suffix(".zip")
    archive.parent.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        pack(archive, num_images)
    make_clone(clone, "sample", clone.parent, {})
    values = read_params(clone)
    values["sources"] = {
        "generated": {"kind": "archive", "archive": {"path": str(archive), "sha256": sha256(archive)}, "format": "auto"}
    }
    values["labels"] = {"classes": {name: [] for name in CLASSES}, "ignore": [], "by_source": {}}
    values["extract"]["size_px"] = 32
    # generated at random, these images are alike to a random backbone: similar pairs would be all there are
    values["curate"]["candidates"] = {"min_similarity": 0.99999, "max_hash_distance": 4, "num_neighbors": 1}
    write_params(clone, values)


def pack(archive: Path, num_images: int, *, classes: Sequence[str] = CLASSES, first: int = 0) -> None:
    """A zip of generated images in class folders. first: the number of the first, which is its seed."""
    images = tqdm(generate(num_images, first=first), "generate", total=num_images, unit="image", disable=None)
    with atomic_file(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for number, data in enumerate(images, first):
            file.writestr(f"generated/{classes[number % len(classes)]}/{number:06}.jpg", data)


def generate(num_images: int, *, first: int = 0) -> Iterator[bytes]:
    """Soft colored patches, each image by a seed of its own, as JPEG."""
    for number in range(first, first + num_images):
        patches = np.random.default_rng(number).integers(256, size=(6, 6, 3), dtype=np.uint8)
        image, data = Image.fromarray(patches).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), io.BytesIO()
        image.save(data, "JPEG", quality=85)
        yield data.getvalue()


def stage_cost(clone: Path, stage: str, *arguments: str) -> Cost:
    """Run a stage's script with this Python and the clone's own code."""
    return command_cost(clone, sys.executable, f"stages/{stage}.py", *arguments)


def command_cost(clone: Path, *command: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command in the clone, whose features are stored beside it. environment: variables besides."""
    variables = {CACHE_DIR: str(clone.with_name("cache")), **(environment or {})}
    printed = run(clone, sys.executable, "-c", MEASURE, *command, environment=variables)
    seconds, core_seconds, peak = printed.split()[-3:]
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Cost(float(seconds), float(core_seconds), int(peak) * unit / 1e6)


def all_costs(sizes: Sequence[Measured]) -> list[Figure]:
    return [
        figure
        for stage, *_ in STAGES
        for size in sizes
        if stage in size.costs
        for figure in (
            reported(f"{stage}: {size.num_images} images, s", size.costs[stage].seconds, ".1f"),
            reported(f"{stage}: {size.num_images} images, ms of all cores an image", size.core_ms(stage), ".2f"),
            reported(f"{stage}: {size.num_images} images, peak memory, MB", size.costs[stage].megabytes, ".0f"),
        )
    ]


def time_growth(sizes: Sequence[Measured]) -> list[Figure]:
    """Of the largest set against that of BASE, or the one before."""
    figures = []
    for before, after in list(pairwise(sizes))[-1:]:
        before = next((size for size in sizes[:-1] if size.num_images == BASE), before)
        for stage in after.costs:
            what = f"{stage}: time an image, {after.num_images} against {before.num_images}"
            ratio = after.core_ms(stage) / before.core_ms(stage)
            figures.append(at_most(what, MAX_GROWTH, ratio, ".2f"))
    return figures


def memory_growth(sizes: Sequence[Measured]) -> list[Figure]:
    """Of the set of FLAT_TO, or the largest below it, against the smallest."""
    figures = []
    first, last = (
        sizes[0],
        max((size for size in sizes if size.num_images <= FLAT_TO), key=lambda size: size.num_images),
    )
    allowed = TABLES * (last.table_megabytes - first.table_megabytes)
    for stage in last.costs:
        ratio = max(last.costs[stage].megabytes - allowed, 0) / first.costs[stage].megabytes
        what = f"{stage}: peak memory without tables, {last.num_images} against {first.num_images}"
        figures.append(at_most(what, MAX_MEMORY_GROWTH, ratio, ".2f"))
    return figures


def most_memory(sizes: Sequence[Measured]) -> Figure:
    """Of all stages and sizes."""
    most = max(cost.megabytes for size in sizes for cost in size.costs.values())
    return at_most("most memory of a stage, MB", MAX_MEGABYTES, most, ".0f")


def nothing_growth(costs: Mapping[int, Cost]) -> list[Figure]:
    """Of runs with nothing to do, by size: the largest against the smallest."""
    smallest, largest = min(costs), max(costs)
    figures = []
    for size, cost in costs.items():
        figures += [
            reported(f"nothing to do: {size} images, s", cost.seconds, ".2f"),
            reported(f"nothing to do: {size} images, s of all cores", cost.core_seconds, ".2f"),
        ]
    if smallest < largest:
        what = f"nothing to do: s, {largest} against {smallest}"
        ratio = costs[largest].seconds / costs[smallest].seconds
        figures.append(at_most(what, MAX_NOTHING_GROWTH, ratio, ".2f"))
    return figures


if __name__ == "__main__":
    main()
