"""How long the exported model takes for an image on this machine, from an encoded image to probabilities."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from tandem.features.engines.openvino import has_openvino
from tandem.images.scaling import fastest_scale
from tandem.inference.exported import ExportedModel, load_exported
from tandem.inference.predict import predict_files
from tandem.types import Encoded

BATCH_SIZE = 16  # as `tandem predict` has it
NUM_IMAGES = 32  # at most
_NUM_ROUNDS = 3
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Speed:
    """Times of `tandem predict` in ms an image; decoding is in them, the start of a process is not.

    single: one image after the other, the median. batched: BATCH_SIZE at a time, decoded on all cores, the median of
    three passes. batched_fast: the same with --fast; None where OpenVINO is missing.
    """

    processor: str
    num_cores: int
    num_images: int
    single: float
    batched: float
    batched_fast: float | None


def measure_speed(model_path: Path, images: Sequence[Encoded]) -> Speed:
    """Of an exported file on the first NUM_IMAGES of the images, in fp32 and fast; some seconds.

    Raises ValueError without images, and DataError for a file that cannot be read.
    """
    if not images:
        raise ValueError("there is no image to measure with")
    images, model = images[:NUM_IMAGES], load_exported(model_path)
    fast = load_exported(model_path, is_fast=True) if has_openvino() else None
    return Speed(
        processor=processor_name(),
        num_cores=os.cpu_count() or 1,
        num_images=len(images),
        single=_single(model, images),
        batched=_batched(model, images),
        batched_fast=None if fast is None else _batched(fast, images),
    )


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """As the system names it; the architecture where it has no name."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name"]
    return next(iter(names), "") or platform.processor() or platform.machine()


def _single(model: ExportedModel, images: Sequence[Encoded]) -> float:
    _predict(model, images[:1], batch_size=1, workers=1)  # warms up
    return median(_ms(lambda image=image: _predict(model, [image], batch_size=1, workers=1)) for image in images)  # type: ignore[misc]


def _batched(model: ExportedModel, images: Sequence[Encoded]) -> float:
    def run() -> None:
        _predict(model, images, batch_size=BATCH_SIZE, workers=os.cpu_count() or 1)

    run()  # warms up
    return median(_ms(run) for _ in range(_NUM_ROUNDS)) / len(images)


def _predict(model: ExportedModel, images: Sequence[Encoded], *, batch_size: int, workers: int) -> None:
    for _ in predict_files(images, model, batch_size=batch_size, workers=workers, scale=fastest_scale()):
        pass


def _ms(call: Callable[[], None]) -> float:
    start = perf_counter()
    call()
    return 1000 * (perf_counter() - start)
