"""A row of the results table as one network: backbones, heads, pooling and temperature, in fp32 by torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tandem.errors import DataError
from tandem.features.backbones.backbone import Backbone, load_backbone, state_digest
from tandem.features.backbones.weights import load_state_dict
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import read_json
from tandem.training.ensembles import KINDS
from tandem.training.linear import load_linear
from tandem.training.networks import TemperatureScaled, feature_head, linear_network, mlp_head
from tandem.training.settings import EnsembleSettings, TrainSettings

_SMALLEST = 1e-30  # a prob of which a log is taken, as in training.averaging


class FeatureHead(nn.Module):
    """A head on the features of some backbones side by side; of TTA views, the mean of its logits."""

    def __init__(self, positions: Sequence[int], head: nn.Module) -> None:
        super().__init__()
        self.positions, self.head = list(positions), head

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """(n, k, D) of each backbone to (n, C) logits."""
        joined = torch.cat([features[position] for position in self.positions], dim=-1)
        return self.head(joined.flatten(0, 1)).unflatten(0, (-1, joined.shape[1])).mean(dim=1)


class LogitHead(nn.Module):
    """A head on the logits of other heads side by side."""

    def __init__(self, inputs: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.inputs, self.head = nn.ModuleList(inputs), head

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """(n, k, D) of each backbone to (n, C) logits."""
        return self.head(torch.cat([head(features) for head in self.inputs], dim=-1))


class WeightedMean(nn.Module):
    """The log of a weighted mean of heads' probs, divided by a temperature."""

    weights: torch.Tensor

    def __init__(self, inputs: Sequence[nn.Module], weights: Sequence[float], temperature: float) -> None:
        super().__init__()
        self.inputs, self.temperature = nn.ModuleList(inputs), temperature
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """(n, k, D) of each backbone to (n, C) logits."""
        probs = torch.stack([head(features).softmax(dim=-1) for head in self.inputs])
        return (self.weights.view(-1, 1, 1) * probs).sum(dim=0).clamp_min(_SMALLEST).log() / self.temperature


class TrainedClassifier(nn.Module):
    """Transformed pixels to probs.

    backbones: each (n, s, s, 3) uint8 to (n, D). head: features (n, k, D) of each to (n, C) logits. num_views: k.
    """

    def __init__(self, backbones: Sequence[nn.Module], head: nn.Module, *, num_views: int) -> None:
        super().__init__()
        self.backbones, self.head, self.num_views = nn.ModuleList(backbones), head, num_views

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n * k, s, s, 3) uint8, the views of an image one after another, to (n, C) float32 probs."""
        features = [net(pixels).unflatten(0, (-1, self.num_views)) for net in self.backbones]
        return self.head(features).softmax(dim=-1)


@dataclass(frozen=True)
class TrainedModels:
    """Where the stages wrote what they trained, and the parameters by which they did.

    Folders: features_dir of finetune, train_dir of train, study_dir of study, ensemble_dir of ensemble.
    """

    backbones: Mapping[str, BackboneSettings]
    extract: ExtractSettings
    train: TrainSettings
    ensemble: EnsembleSettings
    class_names: Sequence[str]
    features_dir: Path
    train_dir: Path
    study_dir: Path
    ensemble_dir: Path

    @property
    def names(self) -> list[str]:
        """All models: the backbones' and the ensembles, as in the results table."""
        return [*self.backbones, *KINDS]

    def folder_of(self, model: str) -> Path:
        """Where the logits of a model lie, and what was trained."""
        return (self.train_dir if model in self.backbones else self.ensemble_dir) / model


def load_classifier(model: str, trained: TrainedModels) -> TrainedClassifier:
    """A model of the results table, from files alone, in eval mode. Raises DataError for a name that is none."""
    if model not in trained.names:
        raise DataError(f"there is no model {model!r}; take one of: {', '.join(trained.names)}")
    names = [model] if model in trained.backbones else list(trained.backbones)
    backbones = [_backbone(name, trained) for name in names]
    heads = _Heads(trained, {backbone.name: backbone.dim for backbone in backbones})
    nets = [backbone.net for backbone in backbones]
    return TrainedClassifier(nets, heads.of(model), num_views=trained.extract.tta_views).eval()


def _backbone(name: str, trained: TrainedModels) -> Backbone:
    """A backbone, frozen or fine-tuned. Raises DataError where it is not the one whose features were trained on."""
    layers = trained.train.num_trainable_layers(name)
    extract, folder = trained.extract, trained.features_dir / name
    backbone = load_backbone(
        name, trained.backbones[name], seed=extract.seed, size_px=extract.size_px, early_exit=layers == 0
    )
    if layers:
        backbone.net.load_state_dict(load_state_dict(folder / "backbone.pt"))
    digest, expected = state_digest(backbone.net), read_json(folder / "meta.json")["weights_sha256"]
    if digest != expected:
        raise DataError(
            f"the weights of {name} have digest {digest[:12]}, and {folder} holds features of {expected[:12]}; "
            "run `dvc repro` again"
        )
    return backbone


@dataclass(frozen=True)
class _Heads:
    """The heads of models. dims: backbone -> number of its features, in the order in which these are given."""

    trained: TrainedModels
    dims: Mapping[str, int]

    def of(self, model: str) -> nn.Module:
        """(n, k, D) of each backbone to (n, C) logits, those that are scored."""
        if model in self.dims:
            return self._of_backbone(model, self.trained.folder_of(model))
        folder = self.trained.folder_of(model)
        if (folder / "mean.json").is_file():
            return self._weighted_mean(**read_json(folder / "mean.json"))
        return self._combined(model, folder, [self.of(name) for name in self.dims])

    def _weighted_mean(self, *, weights: Mapping[str, float], temperature: float) -> nn.Module:
        with np.load(self.trained.study_dir / "library.npz") as arrays:
            library = arrays["models"].tolist()
        heads = [self.of(name) if name in self.dims else self._of_study(name, library) for name in weights]
        return WeightedMean(heads, list(weights.values()), temperature)

    def _of_study(self, name: str, library: Sequence[str]) -> nn.Module:
        """A model of the study, such as `logit lr=0.01 batch_size=8 seed=0`."""
        kind, _, cell = name.partition(" ")
        folder = self.trained.study_dir / "heads" / str(library.index(name))
        if kind in self.dims:
            return self._of_backbone(kind, folder)
        return self._combined(kind, folder, [self._of_study(f"{each} {cell}", library) for each in self.dims])

    def _of_backbone(self, name: str, folder: Path) -> nn.Module:
        num_classes, dim = len(self.trained.class_names), self.dims[name]
        head = _read_head(folder, lambda: mlp_head(torch.zeros(1, dim), num_classes, dropout=0, seed=0))
        return FeatureHead([list(self.dims).index(name)], head)

    def _combined(self, kind: str, folder: Path, heads: Sequence[nn.Module]) -> nn.Module:
        """An ensemble that was trained: on the features, or on the logits of heads."""
        if kind == "feature":
            return FeatureHead(range(len(self.dims)), _read_head(folder, self._fusion_head))
        return LogitHead(heads, _read_head(folder, self._fusion_head))

    def _fusion_head(self) -> nn.Module:
        dims, num_classes = list(self.dims.values()), len(self.trained.class_names)
        width = self.trained.ensemble.width
        return feature_head(torch.zeros(1, sum(dims)), num_classes, dims=dims, width=width, dropout=0, seed=0)


def _read_head(folder: Path, network: Callable[[], nn.Module]) -> nn.Module:
    """What training.heads.save_head wrote. network: makes the network whose weights it may be."""
    if (folder / "head.npz").is_file():
        return linear_network(load_linear(folder / "head.npz"))
    head = TemperatureScaled(network(), 1.0)
    head.load_state_dict(load_state_dict(folder / "head.pt"))
    return head
