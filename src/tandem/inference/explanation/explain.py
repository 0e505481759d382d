"""Which parts of an image a prediction rests on, as a map, by Captum. Imports torch.

A class activation map (Zhou et al., 2016), where all backbones end with a feature map: what the class loses without
one cell of it. With a linear head on the mean of the cells that is the map of that paper; it asks for no gradient, so
that it is the same for each kind of head and ensemble. For other backbones, vision transformers above all, parts of the
image itself are hidden: occlusion (Zeiler and Fergus, 2014, section 4.2).
"""

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tandem.errors import DataError
from tandem.evaluation.metrics import SMALLEST_PROB
from tandem.inference.explanation.spatial import SpatialModel, split_at_maps
from tandem.inference.exported import ExportedModel

if TYPE_CHECKING:
    import torch

_WINDOW, _STRIDE = 5, 10  # a hidden part's side is a fifth of the image's, and it moves by a tenth
_BATCH_SIZE = 16  # images with a hidden part, in one pass of the model


def explanation_map(model: ExportedModel, pixels: np.ndarray, target: int) -> np.ndarray:
    """(s, s) float32: by how much the log-odds of a class fall without a part of the image; < 0: they rise.

    pixels: (s, s, 3) uint8, the image as the model sees it. target: the class's index. Raises DataError where Captum or
    torch is missing.
    """
    try:
        import captum.attr  # noqa: F401  # it imports torch
    except ImportError as error:
        raise DataError(
            f"an explanation needs Captum and torch, and {sys.prefix} lacks one of them ({error}); install tandem with "
            "all that it requires"
        ) from error
    split = _split(model)
    if split is None:
        return occlusion_map(model, pixels, target)
    return class_activation_map(split, pixels, target, tta_views=model.card.tta_views)


@lru_cache(maxsize=1)  # of a folder of images, or of a server, the model is one
def _split(model: ExportedModel) -> SpatialModel | None:
    return split_at_maps(model.data)


def class_activation_map(split: SpatialModel, pixels: np.ndarray, target: int, *, tta_views: int) -> np.ndarray:
    """As explanation_map, of feature maps, added over backbones. A cell that is left out is 0 in all channels."""
    import torch
    from captum.attr import FeatureAblation

    maps = split.maps(pixels[None])
    cells = tuple(torch.ones(1, *each.shape[2:]) for each in maps)  # 1 where a cell is there

    def log_odds(*there: torch.Tensor) -> torch.Tensor:
        left = [each * cells[:, None].numpy() for each, cells in zip(maps, there, strict=True)]
        return _log_odds(split.probs([each.repeat(tta_views, axis=0) for each in left]), target)

    found = FeatureAblation(log_odds).attribute(cells, perturbations_per_eval=_BATCH_SIZE)
    enlarged = np.stack([_enlarged(each[0].numpy(), len(pixels)) for each in found])
    return enlarged.sum(axis=0, dtype=np.float32)


def occlusion_map(model: ExportedModel, pixels: np.ndarray, target: int) -> np.ndarray:
    """As explanation_map, of the image itself: a part that is hidden has the image's mean color."""
    import torch
    from captum.attr import Occlusion

    def log_odds(images: torch.Tensor) -> torch.Tensor:
        views = images.numpy().round().astype(np.uint8).repeat(model.card.tta_views, axis=0)
        return _log_odds(model.probs(views), target)

    image, side = torch.from_numpy(pixels.astype(np.float32))[None], len(pixels)
    window, stride = max(side // _WINDOW, 1), max(side // _STRIDE, 1)
    found = Occlusion(log_odds).attribute(
        image,
        sliding_window_shapes=(window, window, 3),
        strides=(stride, stride, 3),
        baselines=image.mean(dim=(1, 2), keepdim=True).expand_as(image),
        perturbations_per_eval=_BATCH_SIZE,
    )
    explanation: np.ndarray = found[0, :, :, 0].numpy().astype(np.float32)
    return explanation


def _log_odds(probs: np.ndarray, target: int) -> "torch.Tensor":
    import torch

    clipped = probs[:, target].astype(np.float64).clip(SMALLEST_PROB, 1 - 1e-7)
    return torch.from_numpy(np.log(clipped) - np.log1p(-clipped))


def _enlarged(cells: np.ndarray, side: int) -> np.ndarray:
    """(h, w) to (side, side)."""
    return np.asarray(Image.fromarray(cells.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))
