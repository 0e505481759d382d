"""Images to features: one pass of an engine, decoding ahead of it, in constant memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from tandem.features.backbones.backbone import Backbone
from tandem.features.engines.base import Engine
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.loader import iter_batches
from tandem.types import Encoded


def extract(
    images: Sequence[Encoded],
    *,
    engine: Engine,
    settings: ExtractSettings,
    batch_size: int,
    workers: int,
    name: str,
) -> Iterator[np.ndarray]:
    """Yield (n, tta_views, dim) float32 features in the order of images, a few images at a time.

    At most a few batches of decoded images are held at once, however many there are. name: of the backbone.
    """
    tta_views = settings.tta_views
    batches = iter_batches(
        images,
        size_px=settings.size_px,
        resize=settings.resize,
        tta_views=tta_views,
        batch_size=batch_size,
        workers=workers,
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
