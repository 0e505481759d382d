"""What a library of classifiers must offer, so that its networks can be backbones.

A provider is a module with these functions, torchvision.py or timm.py, which `provider` of a backbone names. Tested in
tests/features/test_backbone.py, for each of them.
"""

from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import nn

StateDict = MutableMapping[str, torch.Tensor]
Channels = tuple[float, float, float]


class Classifier(NamedTuple):
    """net: (n, 3, H, W) float32 to class logits. last_layer: the name of the module that gives the logits.

    mean, std: of the channels of what it expects, for pixels in [0, 1].
    """

    net: nn.Module
    last_layer: str
    mean: Channels
    std: Channels


class Provider(Protocol):
    """A library of classifiers."""

    def architectures(self) -> list[str]:
        """The names of its classifiers, as `backbones` of the parameters may use them."""
        ...

    def build(self, architecture: str, *, weights: str, size_px: int) -> Classifier:
        """A classifier with initial weights from torch's global generator, for images of size_px.

        weights: those that it is to have, whose mean and std these are where they have a name.
        """
        ...

    def weights_file(self, architecture: str, weights: str) -> tuple[Path, str]:
        """The file of the library's own weights of this name, fetched if need be, and what its sha256 begins with.

        Raises WeightsError for a name that it does not have, and where it cannot be fetched.
        """
        ...

    def adapt(self, state: StateDict) -> None:
        """Bring the keys of one of the library's files, in place, to those of the network that build makes."""
        ...
