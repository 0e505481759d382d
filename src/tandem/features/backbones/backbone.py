"""torchvision classifiers as frozen feature extractors. The only place that knows torchvision's models.

With trained weights the features are what the last layer would see. Random weights need two things to say
anything:
- BatchNorm statistics that fit what passes through. They are gathered in one pass over drawn images
  (tandem.features.backbones.random_init), never over the data set. The backbone is thus a fixed function of its name and seed: no test
  image has shaped it, and adding images changes no feature.
- An early end. Random layers keep what an image shows for a few steps and then scramble it. So a random backbone
  ends at its last map of a quarter of the input's side, averaged over a 4 x 4 grid, where it has such a map.
"""

import hashlib
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from tandem.errors import WeightsError
from tandem.features.backbones.random_init import dead_leaves
from tandem.features.backbones.weights import first_line, load_state_dict
from tandem.features.settings import RANDOM, BackboneSettings
from tandem.files import sha256
from tandem.seeding import single_threaded, seeded

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_RANDOM_GRID = 4
_NUM_CLASSES = 1000  # what torchvision's classifiers end in
_NUM_LEAVES_IMAGES = 64
# side classifiers exist in training only, ImageNet weights expect another input scale, own initial weights are slow
_INCEPTIONS = ("googlenet", "inception_v3")
_INCEPTION_OPTIONS = {"aux_logits": False, "transform_input": True, "init_weights": False}
_SIDE_CLASSIFIERS = ("aux1.", "aux2.", "AuxLogits.")
# torchvision's DenseNet files still have the names of before torch 0.4 (torchvision/models/densenet.py)
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
StateDict = MutableMapping[str, torch.Tensor]


@dataclass(frozen=True)
class Backbone:
    """net: (n, H, W, 3) uint8 to (n, dim) float32, frozen, in eval mode. digest: sha256 of its state."""

    name: str
    net: nn.Module
    dim: int
    digest: str


class FeatureExtractor(nn.Module):
    """A classifier without its last layer or layers, fed with plain pixels."""

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


def architectures() -> list[str]:
    """The classifiers of torchvision.models, by the names that `backbones` of the parameters may use."""
    return models.list_models(module=models)


def load_backbone(
    name: str,
    settings: BackboneSettings,
    *,
    seed: int,
    size_px: int,
    early_exit: bool = True,
) -> Backbone:
    """The frozen backbone. early_end: of random weights, see above; one that is to be trained has its real end.

    architecture: torchvision's name of the classifier, None where `name` is that. weights: "random" (drawn from `seed`,
    see above), the path of a state dict (its digest must be `sha256`), or one of torchvision's own names such as
    IMAGENET1K_V1 (downloaded by torchvision). Raises WeightsError.
    """
    kind, weights, sha256 = settings.architecture or name, settings.weights, settings.sha256
    if kind not in architectures():
        raise WeightsError(f"torchvision has no classifier {kind!r}; it has: {', '.join(architectures())}")
    with seeded(seed):  # building a network draws weights, also where others replace them at once
        classifier, end = _classifier(kind)
    if weights != RANDOM:
        path, digest = (Path(weights), sha256) if sha256 is not None else _download(kind, weights)
        _fill(classifier, _read(path, digest=digest), end=end, described=f"{path} does not hold weights of {kind}")
    classifier.set_submodule(end, nn.Identity())
    net = FeatureExtractor(classifier).eval()
    dim = _dim(net, name=name, size_px=size_px)
    if weights == RANDOM:
        net = FeatureExtractor(_early_exit(classifier, size_px=size_px) if early_exit else classifier).eval()
        dim = _dim(net, name=name, size_px=size_px)
        _gather_statistics(net, seed=seed, size_px=size_px)
    net.requires_grad_(False).to(memory_format=torch.channels_last)
    return Backbone(name, net, dim, state_digest(net))


def _classifier(name: str) -> tuple[nn.Module, str]:
    """A classifier with fresh weights, and the name of its last layer."""
    classifier = models.get_model(name, weights=None, **(_INCEPTION_OPTIONS if name in _INCEPTIONS else {}))
    ends = [
        key
        for key, layer in classifier.named_modules()
        if _NUM_CLASSES in (getattr(layer, "out_features", None), getattr(layer, "out_channels", None))
    ]
    return classifier, ends[-1]


def _dim(net: FeatureExtractor, *, name: str, size_px: int) -> int:
    try:
        with torch.inference_mode():
            return net(torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)).shape[1]
    except (RuntimeError, AssertionError, ValueError) as error:
        raise WeightsError(
            f"{name} takes no images of {size_px} x {size_px} pixels ({first_line(error)}); change extract.size_px"
        ) from None


def _fill(classifier: nn.Module, state: StateDict, *, end: str, described: str) -> None:
    """Load all but the last layer, which may have any size in `state`. What torch stores beside the tensors, the
    versions of the layers, stays there: some networks read old files by it."""
    for key in list(state):
        tensor = state.pop(key)
        if not key.startswith((f"{end}.", *_SIDE_CLASSIFIERS)):
            state[_OLD_DENSENET.sub(r"\1", key)] = tensor
    try:
        found = classifier.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{described}: {str(error).splitlines()[-1].strip()}") from None
    missing = [key for key in found.missing_keys if not key.startswith(f"{end}.")]
    if missing or found.unexpected_keys:
        raise WeightsError(
            f"{described}: {len(missing)} tensors are missing (first: {missing[:1]}), {len(found.unexpected_keys)} are "
            f"of something else (first: {found.unexpected_keys[:1]}); name the architecture that they belong to"
        )


def _read(path: Path, *, digest: str) -> StateDict:
    if not path.is_file():
        raise WeightsError(f"the weights file {path} is missing; correct the path or download the file")
    found = sha256(path)
    if not found.startswith(digest):
        raise WeightsError(
            f"the weights file {path} has sha256 {found}, not {digest}: it is damaged or another one; delete it and "
            "download it again, or state its own digest if it is the right one"
        )
    try:
        state = load_state_dict(path)
    except ValueError as error:
        raise WeightsError(f"{path} is not a state dict that torch can read safely: {error}") from None
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"{path} must hold a plain state dict (names to tensors), as torchvision's own files do")
    return state


def _download(name: str, weights: str) -> tuple[Path, str]:
    """The file of torchvision's weights in torch's cache, fetched if need be, and what its sha256 begins with."""
    known = {member.name: member for member in models.get_model_weights(name)}
    if weights not in known:
        raise WeightsError(
            f"{name} has no weights {weights!r}; torchvision has {', '.join(known) or 'none'}; a file needs its sha256 "
            f"beside it (backbones.{name}.sha256), and {RANDOM!r} draws from a seed"
        )
    url = known[weights].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    digest = path.stem.rsplit("-", 1)[-1]  # torch's convention: <name>-<first digits of its sha256>.pth
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:
        raise WeightsError(
            f"could not download {name} {weights} ({error}); with a network run again, or put the file {path.name} "
            f"from {url} into {path.parent} by hand"
        ) from None
    return path, digest


class _GridMean(nn.Module):
    """One map of a feature extractor, averaged over the cells of a grid."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (early,) = self.extractor(x).values()
        return functional.adaptive_avg_pool2d(early, _RANDOM_GRID).flatten(1)


def _early_exit(classifier: nn.Module, *, size_px: int) -> nn.Module:
    """The classifier up to its last map whose side is at least a quarter of the input's, or as it is without one."""
    nodes = get_graph_node_names(classifier, suppress_diff_warning=True)[1]
    with torch.inference_mode():
        values = create_feature_extractor(classifier, nodes)(torch.zeros(2, 3, size_px, size_px))
    early = [name for name, x in values.items() if _is_map(x) and 4 * x.shape[3] >= size_px]
    return _GridMean(create_feature_extractor(classifier, early[-1:])) if early else classifier


def _is_map(x: object) -> bool:
    """Whether x is (2, C, side, side) of a layer, and not the input, a map with channels last, or the same for all."""
    return (
        isinstance(x, torch.Tensor) and x.ndim == 4 and x.shape[2] == x.shape[3] and x.shape[0] == 2 and x.shape[1] > 3
    )


def _gather_statistics(net: FeatureExtractor, *, seed: int, size_px: int) -> None:
    """Give every BatchNorm layer the mean and variance of what drawn images send through it."""
    norms = [layer for layer in net.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    moving = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # a plain mean over what follows, instead of a moving one
        norm.reset_running_stats()
        norm.train()
    # on one thread, so that the statistics are the same to the last bit on machines of any size
    with torch.inference_mode(), single_threaded():
        for batch in torch.from_numpy(dead_leaves(_NUM_LEAVES_IMAGES, size_px=size_px, seed=seed)).split(16):
            net(batch)
    for norm, momentum in zip(norms, moving, strict=True):
        norm.momentum = momentum  # a training's statistics follow its weights
    net.eval()


def state_digest(net: nn.Module) -> str:
    """sha256 over names, shapes and values of its state."""
    digest = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
