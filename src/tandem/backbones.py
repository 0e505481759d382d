"""torchvision classifiers as frozen feature extractors. The only place that knows torchvision's models.

Random weights. A network drawn from a seed says nothing until its BatchNorm layers know the scale of
what passes through them. Their statistics are gathered in one pass over drawn pictures ("dead
leaves": overlapping discs of random size and colour, which share the scale invariance of photographs;
Lee, Mumford & Huang 2001), never over the data set. The backbone is thus a fixed function of its name
and seed: no test picture has shaped it, and adding pictures changes no feature.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn
from torchvision import models

from tandem.errors import WeightsError
from tandem.files import sha256
from tandem.seeding import seeded

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RANDOM = "random"
_NUM_CLASSES = 1000  # what torchvision's classifiers end in
_NUM_LEAVES_PICTURES = 64


@dataclass(frozen=True)
class Backbone:
    """net: (n, H, W, 3) uint8 to (n, dim) float32, frozen, in eval mode. digest: sha256 of its state."""

    name: str
    net: nn.Module
    dim: int
    digest: str


class Trunk(nn.Module):
    """A classifier without its last layer, fed with plain pixels."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, H, W, 3) uint8 to (n, dim) float32 pooled features."""
        x = pixels.permute(0, 3, 1, 2).float() / 255
        return self.classifier((x - self.mean) / self.std)


def names() -> list[str]:
    """The classifiers of torchvision.models, by the names that `backbones` of the parameters may use."""
    return models.list_models(module=models)


def load(name: str, *, weights: str, sha256: str | None, seed: int, size_px: int) -> Backbone:
    """The frozen backbone.

    weights: "random" (drawn from `seed`, see above), the path of a state dict (its digest must be
    `sha256`), or one of torchvision's own names such as IMAGENET1K_V1 (downloaded by torchvision).
    Raises WeightsError.
    """
    if name not in names():
        raise WeightsError(f"torchvision has no classifier {name!r}; it has: {', '.join(names())}")
    if weights == RANDOM:
        net = _random(name, seed=seed, size_px=size_px)
    elif sha256 is not None:
        net = _trunk(name, _read(Path(weights), digest=sha256), origin=weights)
    else:
        net = _trunk(name, _download(name, weights), origin=weights)
    net.eval().requires_grad_(False)
    with torch.inference_mode():
        dim = net(torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)).shape[1]
    return Backbone(name, net.to(memory_format=torch.channels_last), dim, _digest(net))


def _classifier(name: str) -> tuple[nn.Module, str]:
    """A classifier with fresh weights, and the name of its last layer."""
    # inception_v3 and googlenet would otherwise draw their initial weights very slowly, and warn about it
    options = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    classifier = models.get_model(name, weights=None, **options)
    ends = [
        key
        for key, layer in classifier.named_modules()
        if _NUM_CLASSES in (getattr(layer, "out_features", None), getattr(layer, "out_channels", None))
    ]
    return classifier, ends[-1]


def _trunk(name: str, state: dict[str, torch.Tensor], *, origin: str) -> Trunk:
    """The classifier with these weights and without its last layer; the state's own last layer may have any size."""
    classifier, end = _classifier(name)
    own = {key for key in classifier.state_dict() if not key.startswith(f"{end}.")}
    given = {key for key in state if not key.startswith(f"{end}.")}
    # num_batches_tracked is absent from old files and plays no part in eval mode
    missing = sorted(key for key in own - given if not key.endswith("num_batches_tracked"))
    surplus = sorted(given - own)
    if missing or surplus:
        raise WeightsError(
            f"{origin} does not hold weights of {name}: {len(missing)} tensors are missing (first: {missing[:1]}), "
            f"{len(surplus)} are of something else (first: {surplus[:1]}); name the architecture that they belong to"
        )
    try:
        classifier.load_state_dict({key: state[key] for key in sorted(own & given)}, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{origin} does not fit {name}: {str(error).splitlines()[-1].strip()}") from None
    classifier.set_submodule(end, nn.Identity())
    return Trunk(classifier)


def _read(path: Path, *, digest: str) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"the weights file {path} is missing; correct the path or download the file")
    found = sha256(path)
    if found != digest:
        raise WeightsError(
            f"the weights file {path} has sha256 {found}, not {digest}; if it is the right file, state that"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a state dict that torch can read safely: {str(error).splitlines()[0]}"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} must hold a plain state dict (names to tensors), as torchvision's own files do")
    return state


def _download(name: str, weights: str) -> dict[str, torch.Tensor]:
    known = {member.name: member for member in models.get_model_weights(name)}
    if weights not in known:
        raise WeightsError(
            f"{name} has no weights {weights!r}; torchvision has {', '.join(known) or 'none'}; a file needs its sha256 "
            f"beside it (backbones.{name}.sha256), and {RANDOM!r} draws from a seed"
        )
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    file_name = known[weights].url.rsplit("/", 1)[-1]
    try:
        return dict(known[weights].get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError) as error:
        raise WeightsError(
            f"could not download {name} {weights} ({error}); with a network run again, or put the file {file_name} "
            f"into {cache} by hand"
        ) from None
    except RuntimeError as error:
        raise WeightsError(f"{file_name} in {cache} is damaged: {error}; delete it and run again") from None


def _random(name: str, *, seed: int, size_px: int) -> Trunk:
    with seeded(seed):
        classifier, end = _classifier(name)
        classifier.set_submodule(end, nn.Identity())
        net = Trunk(classifier).eval()
    norms = [layer for layer in net.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # a plain mean over what follows, instead of a moving one
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        for batch in torch.from_numpy(_dead_leaves(_NUM_LEAVES_PICTURES, size_px=size_px, seed=seed)).split(16):
            net(batch)
    return net


def _dead_leaves(num_pictures: int, *, size_px: int, seed: int) -> np.ndarray:
    """(num_pictures, size_px, size_px, 3) uint8; disc radii follow a power law of exponent -3."""
    generator = np.random.default_rng(seed)
    return np.stack([_leaves(generator, size_px) for _ in range(num_pictures)])


def _leaves(generator: np.random.Generator, size_px: int, num_leaves: int = 400) -> np.ndarray:
    picture = Image.new("RGB", (size_px, size_px))
    draw = ImageDraw.Draw(picture)
    smallest, largest = 2.0, size_px / 2
    # inverse of the distribution function of p(r) ~ r^-3 between the two radii
    share = generator.random(num_leaves)
    radii = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    for radius, (x, y), colour in zip(
        radii,
        generator.random((num_leaves, 2)) * size_px,
        generator.integers(0, 256, (num_leaves, 3)),
        strict=True,
    ):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(colour.tolist()))
    return np.asarray(picture)


def _digest(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
