"""RandAugment (Cubuk et al. 2020): operations drawn for each picture, all of one strength.

The operations and their ranges are torchvision's, at the default strength of its transforms.v2.RandAugment. That class
itself draws by torch's global generator, as the layers of a network that is being trained do.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torchvision.transforms.v2 import functional

_STRENGTH = 9 / 30  # of each range
_SHEAR = math.degrees(math.atan(0.3 * _STRENGTH))
_TRANSLATE = 150 / 331 * _STRENGTH  # of the side
_ROTATE = 30 * _STRENGTH
_FACTOR = 0.9 * _STRENGTH  # brightness and the like are multiplied by 1 plus or minus this
_BITS = round(8 - 4 * _STRENGTH)
_THRESHOLD = 255 * (1 - _STRENGTH)

_Operation = Callable[[torch.Tensor, int], torch.Tensor]  # a picture (3, H, W) uint8 and 1 or -1


def _moved(image: torch.Tensor, sign: int, *, x: float = 0, y: float = 0) -> torch.Tensor:
    shift = [int(sign * share * side) for share, side in ((x, image.shape[2]), (y, image.shape[1]))]
    return functional.affine(image, angle=0, translate=shift, scale=1, shear=[0, 0])


def _sheared(image: torch.Tensor, sign: int, *, x: float = 0, y: float = 0) -> torch.Tensor:
    return functional.affine(image, angle=0, translate=[0, 0], scale=1, shear=[sign * x, sign * y], center=[0, 0])


OPERATIONS: dict[str, _Operation] = {
    "Identity": lambda image, _: image,
    "ShearX": partial(_sheared, x=_SHEAR),
    "ShearY": partial(_sheared, y=_SHEAR),
    "TranslateX": partial(_moved, x=_TRANSLATE),
    "TranslateY": partial(_moved, y=_TRANSLATE),
    "Rotate": lambda image, sign: functional.rotate(image, sign * _ROTATE),
    "Brightness": lambda image, sign: functional.adjust_brightness(image, 1 + sign * _FACTOR),
    "Color": lambda image, sign: functional.adjust_saturation(image, 1 + sign * _FACTOR),
    "Contrast": lambda image, sign: functional.adjust_contrast(image, 1 + sign * _FACTOR),
    "Sharpness": lambda image, sign: functional.adjust_sharpness(image, 1 + sign * _FACTOR),
    "Posterize": lambda image, _: functional.posterize(image, bits=_BITS),
    "Solarize": lambda image, _: functional.solarize(image, threshold=_THRESHOLD),
    "AutoContrast": lambda image, _: functional.autocontrast(image),
    "Equalize": lambda image, _: functional.equalize(image),
}


def rand_augment(images: torch.Tensor, *, num_operations: int, rng: np.random.Generator) -> torch.Tensor:
    """(n, 3, H, W) uint8, each picture after so many operations of its own, drawn with replacement."""
    kinds = list(OPERATIONS.values())
    varied = []
    for image in images:
        for _ in range(num_operations):
            image = kinds[rng.integers(len(kinds))](image, int(rng.choice([-1, 1])))
        varied.append(image)
    return torch.stack(varied)
