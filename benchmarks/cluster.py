"""One node of a Ray cluster, two, and two of which one is killed in the middle, beside one machine without Ray.

    python benchmarks/cluster.py [--images N] [--rounds N] [--json FILE]

`ingest` decodes JPEG files of 800 x 600 pixels, each another one, and `extract` passes what was stored of them through
MobileNetV2 with random weights, which ends early, at 224 px, by the fastest engine. `search` is the search of curate
by features of 1,280 columns and by hashes, of 26,000 images. `finetune` trains all layers of that network for two
epochs of 160 of the images at 96 px, in two micro-batches, by a process on each node. The bytes have to be those of
one machine.

A node is a few processes that run on one core of their own. The driver, which writes what comes, has none of its own
on a machine of two cores and shares those. So the ratio of two nodes to one says what is lost to Ray and the driver on
such a machine: nodes of a real cluster share neither cores, nor memory, nor a driver's. Images a second are by the
clock: for `ingest` and `extract` of a second pass over all images, when all processes have started; for `search` and
`finetune` of the whole, the start of the processes included, and what one process does alone in a fine-tune: it caches
the images, and computes the features of the tuned network. There each image counts once an epoch. Medians of the
rounds' ratios; the node that is killed, in all but the fine-tune, starts anew in each round. The driver's own time, of
its process alone, says how many nodes it could feed: for `ingest` with the writing of the shards, for `search` with
fitting the centers of the index. In a fine-tune it only waits.
"""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from camera import drawn_photo, jpeg
from cluster_jobs import Searches, Tuning
from figures import Figure, conclude, exactly, make_parser, reported
from killing import Killing
from ray_nodes import Nodes, running_nodes
from tandem.cluster.executor import open_executor
from tandem.cluster.local import LocalExecutor
from tandem.cluster.work import Computation, Executor, ItemT, RowT
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

Figures = defaultdict[tuple[str, str], list[float]]  # by stage and way
Digests = defaultdict[str, set[str]]
DRIVER = "driver"


@dataclass(frozen=True)
class Job:
    """All stages on files, in a scratch folder."""

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

    @cached_property
    def searches(self) -> Searches:
        return Searches(self.scratch)

    @cached_property
    def tuning(self) -> Tuning:
        return Tuning(self.stored, self.scratch, BACKBONE, EXTRACT)

    @property
    def whole(self) -> dict[str, tuple[Callable[[Executor], str], int]]:
        """What is measured with the start of its processes, and the images of each."""
        tuning, searches = self.tuning, self.searches
        return {"search": (searches.found, searches.count), "finetune": (tuning.tuned, tuning.num_seen)}

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
    del computation, embedding  # whose processes hold the nodes' cores
    for stage, (work, num_images) in job.whole.items():
        started, of_driver = time.perf_counter(), time.process_time()
        digests[stage].add(work(executor))
        rates[stage, way].append(num_images / (time.perf_counter() - started))
        if way == TWO and stage == "search":
            rates[stage, DRIVER].append(1000 * (time.process_time() - of_driver) / num_images)
    shown = ", ".join(f"{stage} {found[-1]:.0f}" for (stage, each), found in rates.items() if each == way)
    print(f"{way}, images/s: {shown}", flush=True)


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
    """All but the fine-tune again, in the middle of each of which the second node is killed."""
    digests["ingest"].add(job.ingested(Killing(executor, lambda: nodes.kill(second))))
    third = nodes.add(cores=cores)
    work = Killing(executor, lambda: nodes.kill(third)).compute(extracting())
    digests["extract"].add(digest_of(list(work.rows(job.stored))))
    del work
    fourth = nodes.add(cores=cores)
    digests["search"].add(job.searches.found(Killing(executor, lambda: nodes.kill(fourth))))


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
        if of_driver := rates[stage, DRIVER]:
            yield reported(f"{stage}: the driver, core-ms an image", median(of_driver), ".2f")
            yield reported(f"{stage}: images/s that a driver can take", 1000 / median(of_driver), ".0f")


if __name__ == "__main__":
    main()
