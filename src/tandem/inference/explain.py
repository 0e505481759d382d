"""Which parts of an image a prediction rests on, as a map of what hiding each part does to it. Imports torch.

Occlusion (Zeiler and Fergus, 2014, section 4.2), by Captum: it asks a model for nothing but probabilities, so that it
is the same for each kind of ensemble and each family of backbones. A class activation map asks for the last feature map
of one convolutional network, which a vision transformer or an ensemble of several does not have.
"""

import sys

import numpy as np
from PIL import Image

from tandem.errors import DataError
from tandem.evaluation.metrics import SMALLEST_PROB
from tandem.inference.exported import ExportedModel

_WINDOW, _STRIDE = 5, 10  # a window's side is a fifth of the image's, and it moves by a tenth
_BATCH_SIZE = 16  # images with a hidden part, in one pass of the model
_MIN_SIDE_PX = 224  # of what is drawn
_COLOR_MAP = "inferno"


def explanation_map(model: ExportedModel, pixels: np.ndarray, target: int) -> np.ndarray:
    """(s, s) float32: by how much the log-odds of a class fall where a part of the image is hidden; < 0: they rise.

    pixels: (s, s, 3) uint8, the image as the model sees it. target: the class's index. A hidden part has the image's
    mean color. Raises DataError where Captum or torch is missing.
    """
    try:
        import torch
        from captum.attr import Occlusion
    except ImportError as error:
        raise DataError(
            f"an explanation needs Captum and torch, and {sys.prefix} lacks one of them ({error}); install tandem with "
            "all that it requires"
        ) from error

    def log_odds(images: torch.Tensor) -> torch.Tensor:
        views = images.numpy().round().astype(np.uint8).repeat(model.card.tta_views, axis=0)
        probs = model.probs(views)[:, target].astype(np.float64).clip(SMALLEST_PROB, 1 - 1e-7)
        return torch.from_numpy(np.log(probs) - np.log1p(-probs))

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


def draw_explanation(pixels: np.ndarray, explanation: np.ndarray) -> Image.Image:
    """The image, and beside it the image under its map: the lighter, the more the prediction rests on that part.

    pixels: (s, s, 3) uint8. explanation: (s, s), as explanation_map gives it; what is below 0 is drawn like 0.
    """
    import matplotlib as mpl  # with Captum, and not before

    strength = _smooth(explanation.clip(0) / max(float(explanation.max()), 1e-12))
    colors = mpl.colormaps[_COLOR_MAP](strength)[..., :3] * 255
    gray = pixels.mean(axis=2, keepdims=True)
    beside = np.concatenate([pixels, 0.4 * gray + 0.6 * colors], axis=1).round().astype(np.uint8)
    factor = -(-_MIN_SIDE_PX // len(pixels))
    return Image.fromarray(beside).resize(
        (beside.shape[1] * factor, beside.shape[0] * factor), Image.Resampling.BICUBIC
    )


def _smooth(strength: np.ndarray) -> np.ndarray:
    """Without the steps between windows."""
    side = len(strength)
    coarse = Image.fromarray(strength).resize([min(side, _STRIDE)] * 2, Image.Resampling.BOX)
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
