"""Images to feature rows: one pass of an engine, decoding ahead of it, in constant memory."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tandem.errors import CorruptImageError, DataError
from tandem.features.backbones.backbone import Backbone
from tandem.features.engines.engine import Engine
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.decode import Resize
from tandem.images.transforms import fill_transformed

_BATCHES_AHEAD = 4
_AHEAD_A_WORKER = 16  # images, where that is more
_A_TASK = 8  # images: one each, handing them over took a fifth of the time of sixteen threads


def extract(
    paths: Sequence[Path],
    *,
    engine: Engine,
    settings: ExtractSettings,
    batch_size: int,
    workers: int,
    name: str,
) -> Iterator[np.ndarray]:
    """Yield (n, tta_views, dim) float32 features in the order of paths, a few at a time. paths: images that the merge wrote.

    At most a few batches of decoded images are held at once, however many paths there are. name: of the backbone.
    """
    views = settings.tta_views
    batches = iter_batches(
        paths,
        size_px=settings.size_px,
        resize=settings.resize,
        tta_views=views,
        batch_size=batch_size,
        workers=workers,
    )
    left: list[np.ndarray] = []
    with tqdm(total=len(paths), desc=f"extract {name}, {engine.name}", unit="image", disable=None) as bar:
        for rows in engine.embed(batches):
            left += list(rows)
            whole = len(left) // views
            if whole:
                yield np.stack(left[: whole * views]).reshape(whole, views, -1)
                del left[: whole * views]
            bar.update(whole)


def describe(
    backbone: Backbone, weights: BackboneSettings, settings: ExtractSettings, *, engine: Engine
) -> dict[str, object]:
    """How features were made, to be written beside them."""
    return {
        "backbone": backbone.name,
        "weights": weights.weights,
        "weights_sha256": backbone.digest,
        "engine": engine.name,
        "size_px": settings.size_px,
        "resize": settings.resize,
        "tta_views": settings.tta_views,
    }


def iter_batches(
    paths: Sequence[Path], *, size_px: int, resize: Resize, tta_views: int = 1, batch_size: int, workers: int
) -> Iterator[np.ndarray]:
    """(n, size_px, size_px, 3) uint8 batches, decoded by `workers` threads a few batches ahead.

    tta_views: see tandem.images.transforms; those of one image follow one another, and are in one batch.
    """
    count = max(1, batch_size // tta_views)
    num_ahead = max(_BATCHES_AHEAD, -(-_AHEAD_A_WORKER * workers // batch_size))
    waiting: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), count):
            batch = paths[start : start + count]
            out = np.empty((len(batch), tta_views, size_px, size_px, 3), np.uint8)
            parts = (slice(at, at + _A_TASK) for at in range(0, len(batch), _A_TASK))
            waiting.append((out, [pool.submit(_read, batch[part], out[part], resize) for part in parts]))
            if len(waiting) > num_ahead:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())


def _read(paths: Sequence[Path], out: np.ndarray, resize: Resize) -> None:
    for path, seen in zip(paths, out, strict=True):
        try:
            # the merge has refused what is too small or too large; here every image is taken
            fill_transformed(path.read_bytes(), seen, resize=resize)
        except (OSError, CorruptImageError) as error:
            raise DataError(f"{path} cannot be read any more ({error}); run the merge stage again") from None


def _done(out: np.ndarray, tasks: list[Future[None]]) -> np.ndarray:
    for task in tasks:
        task.result()
    return out.reshape(-1, *out.shape[2:])
