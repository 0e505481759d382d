"""torchvision's classifiers. The only module that knows torchvision.models."""

import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import fx, nn

from tandem.features.backbones.catalog import require_weights_name
from tandem.features.backbones.provider import Classifier, StateDict
from tandem.features.backbones.weights import download_weights


@contextmanager
def _without_dynamo() -> Iterator[None]:
    """Spare torchvision the import of torch._dynamo, which takes eight times as long as all else that it imports.

    torchvision.ops.roi_align, which classifiers do without, asks it whether torch.compile works for a kind of device.
    """
    spared = {name: ModuleType(name) for name in ("torch._dynamo", "torch._dynamo.utils") if name not in sys.modules}
    for module in spared.values():
        module.is_compile_supported = lambda _device: False  # type: ignore[attr-defined]
    sys.modules.update(spared)
    try:
        yield
    finally:
        for name in spared:
            del sys.modules[name]


with _without_dynamo():
    from torchvision import models, ops

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_NUM_CLASSES = 1000  # of its networks as they are built
# auxiliary classifiers exist in training only, ImageNet weights expect another input scale, initial weights are slow
_INCEPTIONS = ("googlenet", "inception_v3")
_INCEPTION_OPTIONS = {"aux_logits": False, "transform_input": True, "init_weights": False}
_AUXILIARY_CLASSIFIERS = ("aux1.", "aux2.", "AuxLogits.")
_BLOCKS = tuple(kind for kind in vars(ops).values() if isinstance(kind, type) and issubclass(kind, nn.Module))
# its DenseNet files still have the names of before torch 0.4 (torchvision/models/densenet.py)
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")


def architectures() -> list[str]:
    """The classifiers of torchvision.models."""
    return models.list_models(module=models)


def build(architecture: str, *, weights: str, size_px: int) -> Classifier:
    """A classifier of 1000 classes; see Provider. Mean, std and network are the same for all weights and sizes."""
    del weights, size_px
    options = _INCEPTION_OPTIONS if architecture in _INCEPTIONS else {}
    net = models.get_model(architecture, weights=None, **options)
    return Classifier(net, _last_layer(net), IMAGENET_MEAN, IMAGENET_STD)


def weights_file(architecture: str, weights: str) -> tuple[Path, str]:
    """The file of weights such as IMAGENET1K_V1 in torch's cache; see Provider."""
    known = {member.name: member for member in models.get_model_weights(architecture)}
    require_weights_name(architecture, weights, known, provider="torchvision")
    return download_weights(known[weights].url, described=f"{architecture} {weights}")


def adapt(state: StateDict) -> None:
    """Leave out auxiliary classifiers, and give the layers of DenseNet their names of today."""
    for key in list(state):
        tensor = state.pop(key)
        if not key.startswith(_AUXILIARY_CLASSIFIERS):
            state[_OLD_DENSENET.sub(r"\1", key)] = tensor


def cut_at_last(net: nn.Module, images: torch.Tensor, is_wanted: Callable[[object], bool]) -> nn.Module | None:
    """The network in eval mode up to the last of its steps whose output is wanted; None where none is.

    net: any that torch.fx can trace, whoever built it. images: what it is run on once. A block of torchvision.ops is
    one step. Not by torchvision's create_feature_extractor, which names and traces all steps anew each time.
    """
    tracer = _Tracer(autowrap_modules=(math, ops))
    graph = tracer.trace(net.eval())
    recorder = _Recorder(fx.GraphModule(tracer.root, graph), is_wanted)
    with torch.inference_mode():
        recorder.run(images)
    if recorder.last is None:
        return None
    for node in reversed(graph.nodes):
        if node is recorder.last:
            break
        graph.erase_node(node)
    graph.output(recorder.last)
    graph.eliminate_dead_code()
    return fx.GraphModule(tracer.root, graph)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, _BLOCKS) or super().is_leaf_module(module, name)


class _Recorder(fx.Interpreter):
    """last: the last node so far whose output is wanted."""

    def __init__(self, module: fx.GraphModule, is_wanted: Callable[[object], bool]) -> None:
        super().__init__(module)
        self.is_wanted = is_wanted
        self.last: fx.Node | None = None

    def run_node(self, node: fx.Node) -> Any:
        output = super().run_node(node)
        if self.is_wanted(output):
            self.last = node
        return output


def _last_layer(net: nn.Module) -> str:
    """The name of the layer that gives the logits; SqueezeNet's is a convolution."""
    return [
        name
        for name, layer in net.named_modules()
        if _NUM_CLASSES in (getattr(layer, "out_features", None), getattr(layer, "out_channels", None))
    ][-1]
