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
from tandem.inputs import read_input

_BATCHES_AHEAD = 4


def extract(
    paths: Sequence[Path], *, engine: Engine, size_px: int, resize: Resize, batch_size: int, workers: int, name: str
) -> Iterator[np.ndarray]:
    """Yield (n, dim) float32 rows in the order of paths, a batch at a time. paths: pictures that the merge wrote.

    At most a few batches of decoded pictures are held at once, however many paths there are. name: of the backbone.
    """
    batches = decoded(paths, size_px=size_px, resize=resize, batch_size=batch_size, workers=workers)
    with tqdm(total=len(paths), desc=f"extract {name}, {engine.name}", unit="picture", disable=None) as bar:
        for rows in engine.rows(batches):
            yield rows
            bar.update(len(rows))


def decoded(
    paths: Sequence[Path], *, size_px: int, resize: Resize, batch_size: int, workers: int
) -> Iterator[np.ndarray]:
    """(n, size_px, size_px, 3) uint8 batches, decoded by `workers` threads a few batches ahead."""

    def read(path: Path) -> np.ndarray:
        try:
            # the merge has refused what is too small or too large; here every picture is taken
            return read_input(path.read_bytes(), size_px=size_px, resize=resize)
        except (OSError, BrokenImage) as error:
            raise DataError(f"{path} cannot be read any more ({error}); run the merge stage again") from None

    waiting: deque[list[Future[np.ndarray]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), batch_size):
            waiting.append([pool.submit(read, path) for path in paths[start : start + batch_size]])
            if len(waiting) > _BATCHES_AHEAD:
                yield np.stack([future.result() for future in waiting.popleft()])
        while waiting:
            yield np.stack([future.result() for future in waiting.popleft()])
