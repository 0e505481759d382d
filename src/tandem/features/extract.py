"""Images to features: one pass of an engine, decoding ahead of it, in constant memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from tandem.features.engines.base import Engine
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.loader import iter_batches
from tandem.images.scaling import Scale, scale_by_torch
from tandem.types import Encoded


def extract(
    images: Sequence[Encoded],
    *,
    engine: Engine,
    settings: ExtractSettings,
    batch_size: int,
    workers: int,
    name: str,
    scale: Scale = scale_by_torch,
) -> Iterator[np.ndarray]:
    """Yield (n, tta_views, dim) float32 features in the order of images, a few images at a time.

    At most a few batches of decoded images are held at once, however many there are. name: of the backbone. scale: with
    torch or without.
    """
    tta_views = settings.tta_views
    batches = iter_batches(
        images,
        size_px=settings.size_px,
        resize=settings.resize,
        interpolation=settings.interpolation,
        tta_views=tta_views,
        batch_size=batch_size,
        workers=workers,
        scale=scale,
    )
    pending: list[np.ndarray] = []  # features of views, of which those of the last image may not all be there yet
    with tqdm(total=len(images), desc=f"extract {name}, {engine.name}", unit="image", disable=None) as bar:
        for features in engine.embed(batches):
            pending += list(features)
            num_images = len(pending) // tta_views
            if num_images:
                yield np.stack(pending[: num_images * tta_views]).reshape(num_images, tta_views, -1)
                del pending[: num_images * tta_views]
            bar.update(num_images)


def extraction_meta(
    name: str, weights: BackboneSettings, settings: ExtractSettings, *, weights_sha256: str, engine: str
) -> dict[str, object]:
    """How features of the backbone `name` were made, to be written beside them. engine: its name."""
    return {
        "backbone": name,
        "weights": weights.weights,
        "weights_sha256": weights_sha256,
        "engine": engine,
        "size_px": settings.size_px,
        "resize": settings.resize,
        "interpolation": settings.interpolation,
        "tta_views": settings.tta_views,
    }
