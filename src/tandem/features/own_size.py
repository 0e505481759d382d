"""Features of images of another size than that of `extract`, for what has a size of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tandem.features.embedding import Compute
from tandem.features.reuse import extract_all
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.tables.features import load_features_of
from tandem.tables.stored import load_stored


@dataclass(frozen=True)
class FeatureSource:
    """extracted: the folder of the features of `extract`. stored, packed: the table of the images, and their folder."""

    extracted: Path
    stored: Path
    packed: Path


def features_at(
    size_px: int | None,
    source: FeatureSource,
    *,
    backbones: Mapping[str, BackboneSettings],
    settings: ExtractSettings,
    ids: Sequence[str],
    compute: Compute,
    max_gb: float,
) -> dict[str, np.ndarray]:
    """Backbone -> (N, k, D) float32 of images of size_px, without TTA views, in the order of ids; None: as extracted.

    ids: of all images of the table. compute, max_gb: as of extract_all; what is computed is kept for the next time.
    """
    if size_px is None:
        return load_features_of(source.extracted, backbones, ids=ids)
    stored = load_stored(source.stored)
    return extract_all(
        backbones,
        replace(settings, size_px=size_px, tta_views=1),
        stored.packed(source.packed),
        ids=stored.sha256,
        compute=compute,
        max_gb=max_gb,
    )
