"""A network as a frozen feature extractor: built by its provider, filled with weights, cut off before its last layer.

With trained weights the features are what the last layer would see, or what layer.py pools; of random ones see
random_init.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from tandem.errors import WeightsError
from tandem.features.backbones import random_init, torchvision
from tandem.features.backbones.catalog import require_architecture
from tandem.features.backbones.layer import cut_at, pool_last_map
from tandem.features.backbones.provider import Classifier, Provider
from tandem.features.backbones.weights import fill, read_weights, strip_prefix
from tandem.features.settings import RANDOM, BackboneSettings, ProviderName
from tandem.files import first_line
from tandem.seeding import seeded
from tandem.types import Interpolation


@dataclass(frozen=True)
class Backbone:
    """net: (n, H, W, 3) uint8 to (n, dim) float32, frozen, in eval mode. digest: sha256 of its state."""

    name: str
    net: nn.Module
    dim: int
    digest: str


class FeatureExtractor(nn.Module):
    """A network without its last layer or layers, which takes plain pixels.

    size_px: to which larger images are scaled down; None takes them as they are. interpolation: by which, without
    antialiasing, which OpenVINO leaves out when it reads an ONNX graph; at ratios up to two it gained nothing.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        classifier: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        size_px: int | None,
        interpolation: Interpolation,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.size_px, self.interpolation = size_px, interpolation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, H, W, 3) uint8 to (n, dim) float32 pooled features."""
        images = pixels.permute(0, 3, 1, 2).float() / 255
        if self.size_px is not None and pixels.shape[1] > self.size_px:
            images = functional.interpolate(images, (self.size_px, self.size_px), mode=self.interpolation)
            if self.interpolation == "bicubic":
                images = images.clamp(0, 1)  # it overshoots at edges
        return self.classifier((images - self.mean) / self.std)


def load_backbone(
    name: str, settings: BackboneSettings, *, seed: int, size_px: int, early_exit: bool = True
) -> Backbone:
    """The frozen backbone `name`, for images of size_px, which it scales down itself where its own size is smaller.

    seed: of random weights. early_exit: whether random weights end early, see random_init; a backbone that is to be
    trained has its real end. Raises WeightsError.
    """
    own_px, provider = min(size_px, settings.size_px or size_px), provider_of(settings.provider)
    classifier = _classifier(name, settings, provider, seed=seed, size_px=own_px)
    if settings.weights != RANDOM:
        _fill(classifier, provider, settings.architecture or name, settings)
    net, dim = _end(classifier, settings, name=name, size_px=size_px)
    if settings.weights == RANDOM:
        if early_exit and settings.is_whole:
            net = _extractor(random_init.early_exit(classifier.net, size_px=own_px), classifier, settings)
            dim = _dim(net, name=name, size_px=size_px)
        random_init.gather_statistics(net, seed=seed, size_px=size_px)
    net.requires_grad_(False).to(memory_format=torch.channels_last)
    return Backbone(name, net, dim, state_digest(net))


def require_fitting(name: str, settings: BackboneSettings, *, size_px: int) -> None:
    """Raise WeightsError where load_backbone would, but for weights that have a name: they are not read, or fetched."""
    own_px, provider = min(size_px, settings.size_px or size_px), provider_of(settings.provider)
    classifier = _classifier(name, settings, provider, seed=0, size_px=own_px)
    if settings.sha256 is not None:
        _fill(classifier, provider, settings.architecture or name, settings)
    _end(classifier, settings, name=name, size_px=size_px)


def _classifier(name: str, settings: BackboneSettings, provider: Provider, *, seed: int, size_px: int) -> Classifier:
    """With initial weights."""
    architecture = settings.architecture or name
    require_architecture(name, architecture, provider.architectures(), provider=settings.provider)
    with seeded(seed):  # building a network draws initial weights, also where others replace them at once
        return provider.build(architecture, weights=settings.weights, size_px=size_px)


def _end(
    classifier: Classifier, settings: BackboneSettings, *, name: str, size_px: int
) -> tuple[FeatureExtractor, int]:
    """The network up to its last layer or the one that is named, and how many features it gives."""
    classifier.net.set_submodule(classifier.last_layer, nn.Identity())
    own_px = min(size_px, settings.size_px or size_px)
    net = _extractor(_cut(classifier.net, settings, name=name, size_px=own_px), classifier, settings)
    return net, _dim(net, name=name, size_px=size_px)


def state_digest(net: nn.Module) -> str:
    """sha256 over names, shapes and values of its state."""
    digest = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def provider_of(name: ProviderName) -> Provider:
    """The module of a provider, imported now."""
    if name == "timm":
        from tandem.features.backbones import timm  # three seconds

        return timm
    return torchvision


def _fill(classifier: Classifier, provider: Provider, architecture: str, settings: BackboneSettings) -> None:
    """Load the weights of a file, or those of the provider that have this name."""
    if settings.sha256 is not None:
        path, digest = settings.path, settings.sha256
    else:
        path, digest = provider.weights_file(architecture, settings.weights)
    state = read_weights(path, digest=digest)
    strip_prefix(state, classifier.net.state_dict().keys())
    provider.adapt(state)
    described = f"{path} does not hold weights of {architecture}"
    fill(classifier.net, state, last_layer=classifier.last_layer, described=described)


def _cut(net: nn.Module, settings: BackboneSettings, *, name: str, size_px: int) -> nn.Module:
    if settings.is_whole:
        return net
    if settings.layer is None:
        return pool_last_map(net, settings.pooling, backbone=name, size_px=size_px)
    return cut_at(net, settings.layer, settings.pooling, backbone=name, size_px=size_px)


def _extractor(net: nn.Module, classifier: Classifier, settings: BackboneSettings) -> FeatureExtractor:
    return FeatureExtractor(
        net,
        mean=classifier.mean,
        std=classifier.std,
        size_px=settings.size_px,
        interpolation=settings.interpolation,
    ).eval()


def _dim(net: FeatureExtractor, *, name: str, size_px: int) -> int:
    try:
        with torch.inference_mode():
            return net(torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)).shape[1]
    except (RuntimeError, AssertionError, ValueError) as error:
        own = f"backbones.{name}.size_px"
        seen_px, advice = size_px, f"extract.size_px, or set {own}, to which images are scaled down for it alone"
        if net.size_px is not None and net.size_px < size_px:
            seen_px, advice = net.size_px, own
        reason = first_line(error).rstrip(".")
        raise WeightsError(
            f"{name} takes no images of {seen_px} x {seen_px} pixels ({reason}); change {advice}"
        ) from None
