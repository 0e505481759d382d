"""A backbone in five layers, from its input to its end, of which the last k are unfrozen. Any network, any provider.

A layer is what gives maps of one side: each begins where the side shrinks. For ResNet these are torchvision's own five
(conv1, layer1 ... layer4), for MobileNetV2 its blocks 0-1, 2-3, 4-6, 7-13 and 14-18. More sides than five: the first
ones are one layer. Fewer (transformers): the blocks are dealt evenly. What follows the last map belongs to the fifth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from tandem.training.settings import NUM_LAYERS

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class TrainableLayers:
    """layers: the parameters of each unfrozen layer, the backbone's last one first. modules: all that is trained."""

    layers: tuple[tuple[nn.Parameter, ...], ...]
    modules: tuple[nn.Module, ...]


def split_layers(net: nn.Module, *, size_px: int) -> tuple[tuple[str, ...], ...]:
    """The names of the modules of each of the five layers, in running order. net: (n, H, W, 3) uint8 to features."""
    sides = _sides(net, size_px=size_px)
    names, stages = list(sides), list[list[str]]()
    smallest = None
    for name, side in sides.items():
        if smallest is None or (side is not None and side < smallest):
            stages.append([])
            smallest = side
        stages[-1].append(name)
    if len(stages) < NUM_LAYERS:
        return tuple(tuple(part.tolist()) for part in np.array_split(np.array(names), NUM_LAYERS))
    first = len(stages) - NUM_LAYERS + 1
    return (tuple(chain.from_iterable(stages[:first])), *map(tuple, stages[first:]))


def unfreeze(net: nn.Module, num_layers: int, *, size_px: int) -> TrainableLayers:
    """Unfreeze the last `num_layers` (1 to 5) layers; all else stays as it is, to the last bit. Five unfreeze all."""
    net.requires_grad_(False).eval()
    names = split_layers(net, size_px=size_px)[::-1][:num_layers]
    modules = [[net.get_submodule(name) for name in layer] for layer in names]
    layers = [[parameter for module in layer for parameter in module.parameters()] for layer in modules]
    if num_layers == NUM_LAYERS:  # also what belongs to no module of a layer, such as a transformer's class token
        known = {id(parameter) for layer in layers for parameter in layer}
        layers[-1] += [parameter for parameter in net.parameters() if id(parameter) not in known]
        modules = [[net]]
    for parameter in chain.from_iterable(layers):
        parameter.requires_grad_(True)
    return TrainableLayers(tuple(map(tuple, layers)), tuple(chain.from_iterable(modules)))


def parameter_groups(
    head: nn.Module, unfrozen: TrainableLayers, *, lr: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for an optimizer: the head has `lr`, each layer below `layer_decay` times that of the one above it.

    Norms and biases, which have one axis, are not decayed.
    """
    groups = []
    for depth, layer in enumerate([tuple(head.parameters()), *unfrozen.layers]):
        for is_decayed in (True, False):
            parameters = [parameter for parameter in layer if (parameter.ndim > 1) == is_decayed]
            options = {"lr": lr * layer_decay**depth, "weight_decay": weight_decay if is_decayed else 0.0}
            groups += [{"params": parameters, **options}] if parameters else []
    return groups


def _sides(net: nn.Module, *, size_px: int) -> dict[str, int | None]:
    """Block -> side of the map that it gives, None where it gives none, in the order in which they run."""
    sides = dict[str, int | None]()

    def hook(name: str) -> Any:
        def record(_module: nn.Module, _inputs: object, output: object) -> None:
            # height or width of NCHW, width of NHWC: the images are square
            sides[name] = output.shape[2] if isinstance(output, torch.Tensor) and output.ndim == 4 else None

        return record

    handles = [module.register_forward_hook(hook(name)) for name, module in _blocks("", net, _size(net))]
    with torch.inference_mode():
        device = next(net.parameters()).device
        net(torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8, device=device))
    for handle in handles:
        handle.remove()
    return sides


def _blocks(name: str, module: nn.Module, total: int) -> Iterator[tuple[str, nn.Module]]:
    """The modules with parameters below `module`, opened where they are containers or hold more than half of all."""
    children = [(f"{name}.{key}".lstrip("."), child) for key, child in module.named_children() if _size(child)]
    if not children or not (isinstance(module, _CONTAINERS) or 2 * _size(module) > total):
        yield name, module
        return
    for key, child in children:
        yield from _blocks(key, child, total)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
