"""What a library of classifiers must offer, so that its networks can be backbones.

A provider is a module with these functions, such as torchvision.py, that is entered in backbone.PROVIDERS. Tested in
tests/features/test_backbone.py, for each of them.
"""

from collections.abc import MutableMapping
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

    def build(self, architecture: str) -> Classifier:
        """A classifier with initial weights from torch's global generator."""
        ...

    def weights_url(self, architecture: str, weights: str) -> str:
        """Where the library's own weights of this name lie. Raises WeightsError for a name that it does not have."""
        ...

    def adapt(self, state: StateDict) -> None:
        """Bring the keys of one of the library's files, in place, to those of the network that build makes."""
        ...
