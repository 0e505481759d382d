"""Features of images by an engine and by a forward pass, and how alike they are."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from tandem.features.backbones.backbone import Backbone
from tandem.features.engines.engine import start_engine
from tandem.features.settings import EngineChoice


def embed(
    backbone: Backbone, pixels: np.ndarray, *, engine: EngineChoice = "auto", batch_size: int = 8, device: str = "cpu"
) -> np.ndarray:
    """The features of pixels (N, side, side, 3) by an engine, in batches of this size."""
    started = start_engine(backbone, engine=engine, size_px=pixels.shape[1], batch_size=batch_size, device=device)
    return joined(started.embed(np.split(pixels, range(batch_size, len(pixels), batch_size))))


def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(parts))


def forward(net: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """The features by torch in fp32, a few images at a time."""
    with torch.no_grad():
        return joined(net(torch.from_numpy(part)).numpy() for part in np.array_split(pixels, 8))


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def similar_pairs(features: np.ndarray, min_similarity: float) -> set[tuple[int, int]]:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(unit @ unit.T >= min_similarity), strict=True) if i < j}
