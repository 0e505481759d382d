"""`backbones` and `extract` in params.yaml: networks, their weights, and the one transform."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from annotated_types import Ge, Le

from tandem.types import Interpolation, NotEmpty, Section, Seed, Sha256, SidePx

RANDOM = "random"
EngineChoice = Literal["auto", "reference"]
ProviderName = Literal["torchvision", "timm"]
Pooling = Literal["average", "max", "gem"]


def is_weights_path(weights: str) -> bool:
    """Whether weights are named by a path; names of weights have neither slashes nor a suffix."""
    path = PurePosixPath(weights)
    return len(path.parts) > 1 or path.suffix != ""


def weights_path(weights: str) -> Path:
    """Of a file of weights, `~` being the user's home as in a shell."""
    return Path(os.path.expanduser(weights))  # noqa: PTH111  # that of pathlib raises for an unknown user


@dataclass(frozen=True)
class BackboneSettings(Section):
    """weights: "random", a name of the provider's own, or the path of a state dict, whose sha256 stands beside it.

    provider: the library that builds the network. architecture: the provider's name of a network that is called
    otherwise here; None where its name is that. size_px: to which larger images are scaled down for this backbone,
    by this interpolation. layer: whose output, pooled over positions, the features are; None is what the last layer
    sees. pooling: of that layer, or of the network's last map where none is named.
    """

    weights: NotEmpty
    sha256: Sha256 | None = None
    architecture: NotEmpty | None = None
    provider: ProviderName = "torchvision"
    size_px: SidePx | None = None
    interpolation: Interpolation = "bilinear"
    layer: NotEmpty | None = None
    pooling: Pooling = "average"

    @property
    def is_whole(self) -> bool:
        """Whether the features are what the network's own last layer sees."""
        return self.layer is None and self.pooling == "average"

    @property
    def path(self) -> Path:
        """Of a file of weights."""
        return weights_path(self.weights)

    def __post_init__(self) -> None:
        is_file = is_weights_path(self.weights)
        if is_file and self.sha256 is None:
            raise ValueError(f"weights {self.weights!r} is a file: state its sha256 beside it (sha256sum prints it)")
        if self.sha256 is not None and not is_file:
            raise ValueError(f"sha256 belongs to a file of weights, and {self.weights!r} is none; leave it out")


@dataclass(frozen=True)
class ExtractSettings(Section):
    """The one transform, what computes, and the seed of random weights.

    resize: "squash" the whole image to a square, or "crop" the central square. interpolation: by which it is scaled.
    tta_views: of each image, itself first. engine: "auto", the fastest of this machine, or "reference", fp32 by torch.
    """

    size_px: SidePx
    resize: Literal["squash", "crop"]
    interpolation: Interpolation
    tta_views: Annotated[int, Ge(1), Le(10)]
    engine: EngineChoice
    seed: Seed
