"""An explanation as an image for people."""

import numpy as np
from PIL import Image

_MIN_SIDE_PX = 224  # of what is drawn
_COARSE = 10  # steps a side that are seen; between them it is smooth
_COLOR_MAP = "inferno"


def draw_explanation(pixels: np.ndarray, explanation: np.ndarray) -> Image.Image:
    """The image, and beside it the image under its map: the lighter, the more the prediction rests on that part.

    pixels: (s, s, 3) uint8. explanation: (s, s), as explanation_map gives it; what is below 0 is drawn like 0.
    """
    import matplotlib as mpl  # when something is drawn, and not before

    strength = _smooth(explanation.clip(0) / max(float(explanation.max()), 1e-12))
    colors = mpl.colormaps[_COLOR_MAP](strength)[..., :3] * 255
    gray = pixels.mean(axis=2, keepdims=True)
    beside = np.concatenate([pixels, 0.4 * gray + 0.6 * colors], axis=1).round().astype(np.uint8)
    factor = -(-_MIN_SIDE_PX // len(pixels))
    return Image.fromarray(beside).resize(
        (beside.shape[1] * factor, beside.shape[0] * factor), Image.Resampling.BICUBIC
    )


def _smooth(strength: np.ndarray) -> np.ndarray:
    """Without the steps between cells or windows."""
    side = len(strength)
    coarse = Image.fromarray(strength).resize([min(side, _COARSE)] * 2, Image.Resampling.BOX)
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
