"""A row of the results table as one ONNX graph, from files alone.

Backbones, heads, pooling and temperature, and beside them the OOD score of the same features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tandem.errors import DataError
from tandem.features.settings import ExtractSettings
from tandem.files import load_arrays, read_json, reading
from tandem.inference import graph as nodes
from tandem.inference import networks
from tandem.inference.converted import feature_dim, load_converted
from tandem.inference.exported import OOD_SCORE, PIXELS, PROBABILITIES
from tandem.inference.graph import Graph, GraphOutput
from tandem.ood.backbones import backbones_read_by
from tandem.ood.detector import load_detector
from tandem.tables.logits import folder_of_model
from tandem.training.ensembles import KINDS
from tandem.training.fusion.fusion_head import FILE, load_fusion
from tandem.training.linear import load_linear


@dataclass(frozen=True)
class TrainedModels:
    """What the stages trained and wrote below data_dir. backbones: their names. max_side_px: see IngestSettings."""

    backbones: Sequence[str]
    extract: ExtractSettings
    max_side_px: int | None
    class_names: Sequence[str]
    data_dir: Path

    @property
    def names(self) -> list[str]:
        """All models: the backbones' and the ensembles, as in the results table."""
        return [*self.backbones, *KINDS]

    def folder_of(self, model: str) -> Path:
        """Where the logits of a model lie, and what was trained. Raises DataError for a name that is none."""
        if model not in self.names:
            raise DataError(f"there is no model {model!r}; take one of: {', '.join(self.names)}")
        return folder_of_model(self.data_dir, model, self.backbones)

    def converted_dir(self, backbone: str) -> Path:
        """Where the graph of a backbone lies."""
        return self.data_dir / "convert" / backbone

    def detector_path(self, backbone: str) -> Path:
        """Where the OOD detector of a backbone lies, with the scores of all images."""
        return self.data_dir / "ood" / f"{backbone}.npz"

    def backbones_of(self, model: str) -> list[str]:
        """The backbones that a model reads, in their order."""
        return backbones_read_by(model, self.backbones, self.data_dir / "ensemble")


def temperature_of(model: str, trained: TrainedModels) -> float:
    """By which the logits of a model are divided. It is a part of the last layer of a head, and of a mean's graph."""
    folder = trained.folder_of(model)
    name = "mean.json" if (folder / "mean.json").is_file() else "choices.json"
    with reading(folder / name):
        return float(read_json(folder / name)["temperature"])


def classifier_model(model: str, trained: TrainedModels) -> onnx.ModelProto:
    """PIXELS (n * k, s, s, 3) uint8, the k TTA views of an image one after another, to PROBABILITIES and OOD_SCORE."""
    graph, extract = Graph(), trained.extract
    features = {name: _features(graph, name, trained) for name in trained.backbones_of(model)}
    probs = graph.add("Softmax", _Heads(graph, features.__getitem__, trained).of(model), axis=-1)
    detectors = [load_detector(trained.detector_path(name)) for name in features]
    score = nodes.ood_score(graph, list(features.values()), detectors)
    shape: list[str | int] = ["views", extract.size_px, extract.size_px, 3]
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, shape)
    return graph.model([pixels], GraphOutput(PROBABILITIES, probs), GraphOutput(OOD_SCORE, score, ("n",)))


def _features(graph: Graph, name: str, trained: TrainedModels) -> str:
    """(n, k, D), what a backbone makes of the pixels."""
    backbone = load_converted(trained.converted_dir(name))
    shape = np.array([-1, trained.extract.tta_views, backbone.dim])
    return graph.add("Reshape", graph.include(backbone.model, name=name), shape)


@dataclass(frozen=True)
class _Heads:
    """Adds heads to a graph. features: backbone -> the value that holds its features, for those that are read."""

    graph: Graph
    features: Callable[[str], str]
    trained: TrainedModels

    @property
    def _study_dir(self) -> Path:
        return self.trained.data_dir / "study"

    def of(self, model: str) -> str:
        """(n, C) logits of a model, those that are scored."""
        folder = self.trained.folder_of(model)
        if model in self.trained.backbones:
            return self._of_backbone(model, folder)
        if (folder / "student.json").is_file():
            return self._of_backbone(read_json(folder / "student.json", keys=("backbone",))["backbone"], folder)
        if (folder / "mean.json").is_file():
            mean = read_json(folder / "mean.json", keys=("weights", "temperature"))
            return self._weighted_mean(weights=mean["weights"], temperature=mean["temperature"])
        return self._combined(model, folder, self.of)

    def _weighted_mean(self, *, weights: Mapping[str, float], temperature: float) -> str:
        (models,) = load_arrays(self._study_dir / "library.npz", ("models",))
        library = models.tolist()
        logits = [
            self.of(name) if name in self.trained.backbones else self._of_study(name, library) for name in weights
        ]
        return nodes.mean_of_probs(self.graph, logits, list(weights.values()), temperature)

    def _of_study(self, name: str, library: Sequence[str]) -> str:
        """A model of the study, such as `logit lr=0.01 batch_size=8 seed=0`."""
        kind, _, cell = name.partition(" ")
        folder = self._study_dir / "heads" / str(library.index(name))
        if kind in self.trained.backbones:
            return self._of_backbone(kind, folder)
        return self._combined(kind, folder, lambda each: self._of_study(f"{each} {cell}", library))

    def _of_backbone(self, name: str, folder: Path) -> str:
        return nodes.mean_over_views(self.graph, self._head(self.features(name), folder, [name]))

    def _combined(self, kind: str, folder: Path, logits_of: Callable[[str], str]) -> str:
        """An ensemble that was trained: on the features, or on the logits of heads. logits_of: backbone -> logits."""
        names = list(self.trained.backbones)
        if kind == "feature":
            joined = nodes.side_by_side(self.graph, [self.features(name) for name in names])
            return nodes.mean_over_views(self.graph, nodes.fusion(self.graph, joined, load_fusion(folder / FILE)))
        return self._head(nodes.side_by_side(self.graph, [logits_of(name) for name in names]), folder, names)

    def _head(self, values: str, folder: Path, names: Sequence[str]) -> str:
        """What training.heads.save_head wrote of a linear head or an MLP, on values of these backbones."""
        if (folder / "head.npz").is_file():
            return nodes.linear(self.graph, values, load_linear(folder / "head.npz"))
        dim = sum(feature_dim(self.trained.converted_dir(name)) for name in names)
        head = networks.read_head(folder / "network.npz", dim=dim, num_classes=len(self.trained.class_names))
        return networks.add_network(head, self.graph, values)
