"""One node of a Ray cluster, two, and two of which one is killed in the middle, beside one machine without Ray.

    python benchmarks/cluster.py [--images N] [--rounds N] [--json FILE]

`ingest` decodes JPEG files of 800 x 600 pixels, each another one, and `extract` passes what was stored of them through
MobileNetV2 with random weights, which ends early, at 224 px, by the fastest engine. The bytes have to be those of one
machine.

A node is a few processes that run on one core of their own. The driver, which writes what comes, has none of its own
on a machine of two cores and shares those. So the ratio of two nodes to one says what is lost to Ray and the driver on
such a machine: nodes of a real cluster share neither cores, nor memory, nor a driver's. Images a second are by the
clock, of a second pass over all images, when all processes have started. Medians of the rounds' ratios; the node that
is killed starts anew in each round. The driver's own time, of its process alone, says how many nodes it could feed:
for `ingest` with the writing of the shards.
"""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from camera import drawn_photo, jpeg
from figures import Figure, conclude, exactly, make_parser, reported
from ray_nodes import Nodes, running_nodes
from tandem.cluster.executor import open_executor
from tandem.cluster.local import LocalExecutor
from tandem.cluster.work import Computation, Executor, Facts, GroupWork, ItemT, ReportT, ResultT, RowT, Work
from tandem.datasets.decoding import Decoding, LabelledFile
from tandem.datasets.examples import SourceAnnotations
from tandem.datasets.formats.annotations import Annotation
from tandem.datasets.ingest import ingest
from tandem.datasets.ingested import save_ingested
from tandem.datasets.settings import IngestSettings
from tandem.features.embedding import BackbonePass
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import dir_sha256
from tandem.tables.stored import PackedImage

FILE_SIZE = 800, 600
STORED = IngestSettings(min_side_px=32, max_pixels=10**8, max_side_px=640)
EXTRACT = ExtractSettings(size_px=224, resize="squash", interpolation="bilinear", tta_views=1, engine="auto", seed=0)
BACKBONE, BATCH_SIZE, WORKERS = "mobilenet_v2", 16, 2
HERE, ONE, TWO = "one machine", "one node", "two nodes"
KILLED_AFTER = 1 / 3  # of the rows


Figures = defaultdict[tuple[str, str], list[float]]  # by stage and way
Digests = defaultdict[str, set[str]]
DRIVER = "driver"


class Killing(Executor):
    """Another executor, of whose first work `kill` is called once a part of the rows is there."""

    def __init__(self, executor: Executor, kill: Callable[[], None]) -> None:
        self._executor, self._kill = executor, kill

    def facts(self, work: Work[Any, Any]) -> Facts:
        return self._executor.facts(work)

    def compute(self, work: Work[ItemT, RowT]) -> Computation[ItemT, RowT]:
        return Interrupted(self._executor.compute(work), self._kill)

    def run_group(self, work: GroupWork[ReportT, ResultT], on_report: Callable[[ReportT], None]) -> ResultT:
        return self._executor.run_group(work, on_report)


class Interrupted(Computation[ItemT, RowT]):
    """A computation, in the middle of whose rows something happens."""

    def __init__(self, computation: Computation[ItemT, RowT], happens: Callable[[], None]) -> None:
        self._computation, self._happens = computation, happens

    @property
    def made(self) -> Facts:
        return self._computation.made

    def rows(self, items: Sequence[ItemT]) -> Generator[RowT, None, None]:
        for number, row in enumerate(self._computation.rows(items)):
            if number == int(KILLED_AFTER * len(items)):
                self._happens()
            yield row


@dataclass(frozen=True)
class Job:
    """Both stages on files, in a scratch folder."""

    source: SourceAnnotations
    scratch: Path

    def ingested(self, executor: Executor) -> str:
        """Digest of what ingest writes."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            found = ingest("drawn", self.source, STORED, folder=Path(name), workers=WORKERS, executor=executor)
            save_ingested(found, Path(name))
            return dir_sha256(Path(name))

    @cached_property
    def stored(self) -> list[PackedImage]:
        """The images, stored by this machine."""
        folder = self.scratch / "stored"
        folder.mkdir()
        images = ingest("drawn", self.source, STORED, folder=folder, workers=WORKERS).images
        return [PackedImage(folder / image.shard, image.offset, image.num_bytes) for image in images]

    @property
    def files(self) -> list[LabelledFile]:
        return [LabelledFile(annotation.path, (None,)) for annotation in self.source.annotations]

    @property
    def decoding(self) -> Decoding:
        return Decoding("drawn", self.source.root, STORED, WORKERS)


def extracting() -> BackbonePass:
    return BackbonePass(BACKBONE, BackboneSettings("random"), EXTRACT, "cpu", BATCH_SIZE, WORKERS)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rates, digests = Figures(list), Digests(set)
    with tempfile.TemporaryDirectory(prefix="tandem-cluster-") as name:
        job = Job(draw_files(Path(name) / "files", arguments.images), Path(name))
        measure_here(
            job, cores, rates, digests
        )  # first: this process's libraries have the threads of one core from then on
        with running_nodes(0) as nodes:
            nodes.add(num_cpus=0)
            nodes.add(cores=cores[:1])
            with open_executor(nodes.address) as executor:
                for number in range(arguments.rounds):
                    if number:
                        measure_here(job, cores, rates, digests)
                    measure(ONE, job, executor, rates, digests)
                    second = nodes.add(cores=cores[1:2])
                    measure(TWO, job, executor, rates, digests)
                    kill_once(job, executor, nodes, second, cores[1:2], digests)
    conclude(list(figures_of(rates, digests)), arguments)


def draw_files(folder: Path, count: int) -> SourceAnnotations:
    """One drawn photograph, moved on by a pixel for each file."""
    folder.mkdir()
    drawn, annotations = np.asarray(drawn_photo(0).resize(FILE_SIZE)), list[Annotation]()
    for number in range(count):
        path = f"{number:06}.jpg"
        (folder / path).write_bytes(jpeg(Image.fromarray(np.roll(drawn, number, axis=1))))
        annotations.append(Annotation(path, "drawn"))
    return SourceAnnotations(folder, annotations, None)


def measure(way: str, job: Job, executor: Executor, rates: Figures, digests: Digests) -> None:
    started = time.process_time()
    digests["ingest"].add(job.ingested(executor))
    of_driver = time.process_time() - started
    computation = executor.compute(job.decoding)
    rates["ingest", way].append(two_passes(computation, job.files)[1])
    embedding = executor.compute(extracting())
    features, rate = two_passes(embedding, job.stored)
    rates["extract", way].append(rate)
    digests["extract"].add(digest_of(features))
    if way == TWO:
        rates["ingest", DRIVER].append(1000 * of_driver / len(job.files))
        started = time.process_time()
        for _ in embedding.rows(job.stored):
            pass
        rates["extract", DRIVER].append(1000 * (time.process_time() - started) / len(job.files))
    print(f"{way}: {rates['ingest', way][-1]:.0f} images/s decoded, {rate:.0f} embedded", flush=True)


def measure_here(job: Job, cores: Sequence[int], rates: Figures, digests: Digests) -> None:
    """On one core without Ray."""
    os.sched_setaffinity(0, cores[:1])
    measure(HERE, job, LocalExecutor(), rates, digests)
    os.sched_setaffinity(0, cores)


def two_passes(computation: Computation[ItemT, RowT], items: Sequence[ItemT]) -> tuple[list[RowT], float]:
    """The rows, and images a second of the second pass."""
    rows = list(computation.rows(items))
    started = time.perf_counter()
    num_rows = sum(1 for _ in computation.rows(items))
    return rows, num_rows / (time.perf_counter() - started)


def kill_once(job: Job, executor: Executor, nodes: Nodes, second: int, cores: Sequence[int], digests: Digests) -> None:
    """Both stages again, in the middle of each of which the second node is killed."""
    digests["ingest"].add(job.ingested(Killing(executor, lambda: nodes.kill(second))))
    third = nodes.add(cores=cores)
    work = Killing(executor, lambda: nodes.kill(third)).compute(extracting())
    digests["extract"].add(digest_of(list(work.rows(job.stored))))


def digest_of(features: Sequence[np.ndarray]) -> str:
    return sha256(np.stack(features).tobytes()).hexdigest()


def figures_of(rates: Figures, digests: Digests) -> Iterator[Figure]:
    for stage, of_stage in digests.items():
        yield exactly(f"{stage}: different bytes", 1, len(of_stage))
    for stage in digests:
        for way in (HERE, ONE, TWO):
            yield reported(f"{stage}: images/s, {way}", median(rates[stage, way]), ".0f")
        for more, fewer, what in ((TWO, ONE, "two nodes over one"), (ONE, HERE, "one node over one machine")):
            pairs = zip(rates[stage, more], rates[stage, fewer], strict=True)
            yield reported(f"{stage}: {what}", median(one / other for one, other in pairs), ".2f")
        yield reported(f"{stage}: the driver, core-ms an image", median(rates[stage, DRIVER]), ".2f")
        yield reported(f"{stage}: images/s that a driver can take", 1000 / median(rates[stage, DRIVER]), ".0f")


if __name__ == "__main__":
    main()
