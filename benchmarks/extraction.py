"""Features as the extract stage makes them, without its files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tandem.features.backbones.backbone import load_backbone
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import sha256
from tandem.pipeline.settings import RuntimeSettings
from tandem.types import Encoded

BACKBONE = "mobilenet_v2"


def weights_of(path: Path) -> BackboneSettings:
    """The weights of a file."""
    return BackboneSettings(str(path), sha256(path))


def extract_features(
    paths: Sequence[Encoded], weights: BackboneSettings, *, settings: ExtractSettings, runtime: RuntimeSettings
) -> np.ndarray:
    """(N, D) float32 features of MobileNetV2, of the images themselves."""
    net = load_backbone(BACKBONE, weights, seed=settings.seed, size_px=settings.size_px)
    engine = start_engine(
        net,
        engine=settings.engine,
        size_px=settings.size_px,
        batch_size=runtime.batch_size,
        device=runtime.device,
    )
    batches = extract(
        paths,
        engine=engine,
        settings=settings,
        batch_size=runtime.batch_size,
        workers=runtime.workers,
        name=BACKBONE,
    )
    return np.concatenate(list(batches))[:, 0]
