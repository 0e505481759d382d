"""Pictures to feature rows: one pass of an engine, decoding ahead of it, in constant memory."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tandem.engines import Engine
from tandem.errors import BrokenImage, DataError
from tandem.images import Resize
from tandem.inputs import read_inputs

_BATCHES_AHEAD = 4


def extract(
    paths: Sequence[Path],
    *,
    engine: Engine,
    size_px: int,
    resize: Resize,
    views: int = 1,
    batch_size: int,
    workers: int,
    name: str,
) -> Iterator[np.ndarray]:
    """Yield (n, views, dim) float32 rows in the order of paths, a few at a time. paths: pictures that the merge wrote.

    At most a few batches of decoded pictures are held at once, however many paths there are. name: of the backbone.
    """
    batches = decoded(paths, size_px=size_px, resize=resize, views=views, batch_size=batch_size, workers=workers)
    left: list[np.ndarray] = []
    with tqdm(total=len(paths), desc=f"extract {name}, {engine.name}", unit="picture", disable=None) as bar:
        for rows in engine.rows(batches):
            left += list(rows)
            whole = len(left) // views
            if whole:
                yield np.stack(left[: whole * views]).reshape(whole, views, -1)
                del left[: whole * views]
            bar.update(whole)


def decoded(
    paths: Sequence[Path], *, size_px: int, resize: Resize, views: int = 1, batch_size: int, workers: int
) -> Iterator[np.ndarray]:
    """(n, size_px, size_px, 3) uint8 batches, decoded by `workers` threads a few batches ahead.

    views: see tandem.inputs; those of one picture follow one another, and are in one batch.
    """
    count = max(1, batch_size // views)

    def read(path: Path) -> np.ndarray:
        try:
            # the merge has refused what is too small or too large; here every picture is taken
            return read_inputs(path.read_bytes(), size_px=size_px, resize=resize, views=views)
        except (OSError, BrokenImage) as error:
            raise DataError(f"{path} cannot be read any more ({error}); run the merge stage again") from None

    waiting: deque[list[Future[np.ndarray]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), count):
            waiting.append([pool.submit(read, path) for path in paths[start : start + count]])
            if len(waiting) > _BATCHES_AHEAD:
                yield np.concatenate([future.result() for future in waiting.popleft()])
        while waiting:
            yield np.concatenate([future.result() for future in waiting.popleft()])
