"""Decoded images of one size: read ahead of their use by threads, and kept on disk for trainings as a memory map."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0

from tandem.errors import CorruptImageError, DataError
from tandem.files import atomic_file
from tandem.images.decode import Resize
from tandem.images.scaling import Scale, scale_by_torch
from tandem.images.transforms import fill_transformed
from tandem.types import Encoded, Interpolation

BATCHES_AHEAD = 4
IMAGES_AHEAD = 16  # of each worker, where that is more
IMAGES_A_TASK = 8  # one each: handing them over took a fifth of the time of sixteen threads


def iter_batches(
    images: Sequence[Encoded],
    *,
    size_px: int,
    resize: Resize,
    interpolation: Interpolation,
    tta_views: int = 1,
    batch_size: int,
    workers: int,
    scale: Scale = scale_by_torch,
) -> Iterator[np.ndarray]:
    """(n, size_px, size_px, 3) uint8 batches, decoded by `workers` threads a few batches ahead.

    tta_views, scale: see tandem.images.transforms; the views of one image follow one another, and are in one batch.
    Raises DataError for a file that cannot be read.
    """
    num_images = max(1, batch_size // tta_views)
    num_ahead = max(BATCHES_AHEAD, -(-IMAGES_AHEAD * workers // batch_size))
    waiting: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
    fill = partial(fill_transformed, resize=resize, interpolation=interpolation, scale=scale)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(images), num_images):
            batch = images[start : start + num_images]
            out = np.empty((len(batch), tta_views, size_px, size_px, 3), np.uint8)
            parts = (slice(at, at + IMAGES_A_TASK) for at in range(0, len(batch), IMAGES_A_TASK))
            waiting.append((out, [pool.submit(_load, batch[part], out[part], fill) for part in parts]))
            if len(waiting) > num_ahead:
                yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())


def cache_pixels(path: Path, batches: Iterable[np.ndarray], *, count: int, size_px: int) -> np.ndarray:
    """(count, size_px, size_px, 3) uint8, written to `path` in the memory of one batch and mapped from there.

    For trainings, which see each image many times.
    """
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        shape = (count, size_px, size_px, 3)
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for batch in batches:
            file.write(np.ascontiguousarray(batch).tobytes())
    return np.load(path, mmap_mode="r")


def _load(images: Sequence[Encoded], out: np.ndarray, fill: Callable[[bytes, np.ndarray], None]) -> None:
    for image, views in zip(images, out, strict=True):
        try:
            # ingest has refused what is too small or too large; here every image is taken
            fill(image.read_bytes(), views)
        except (FileNotFoundError, IsADirectoryError, CorruptImageError) as error:
            raise DataError(f"{image} cannot be read any more ({error}); run the ingest stage again") from None


def _finish(out: np.ndarray, tasks: list[Future[None]]) -> np.ndarray:
    for task in tasks:
        task.result()
    return out.reshape(-1, *out.shape[2:])
