"""Features that are pooled here, over the positions of what a layer gives: an earlier layer, or another pooling.

The last layers of a network are made for the classes that it was trained on, and earlier ones can tell more about
images that are unlike these (Yosinski et al., "How transferable are features in deep neural networks?", 2014). The
average over positions is what networks are trained with. Where a small part of an image is what counts, the maximum or
the generalised mean between both keeps it: GeM, (mean of x^p)^(1/p) of positive x, p = 3 (Radenovic, Tolias and Chum,
"Fine-tuning CNN Image Retrieval with No Human Annotation", 2018).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

import torch
from torch import nn

from tandem.errors import WeightsError, did_you_mean
from tandem.features.settings import Pooling

_MANY = 40  # layers, which a message does not list
_GEM_POWER = 3.0
_LEAST = 1e-6  # of what is raised to a power: as in the code of the paper
_PROBE_PX = 256  # images this large leave more than one position to the last map of the usual networks


def _gem(output: torch.Tensor, positions: tuple[int, ...]) -> torch.Tensor:
    return output.float().clamp(min=_LEAST).pow(_GEM_POWER).mean(positions).pow(1 / _GEM_POWER)


POOLINGS: Mapping[Pooling, Callable[[torch.Tensor, tuple[int, ...]], torch.Tensor]] = {
    "average": lambda output, positions: output.mean(positions),
    "max": lambda output, positions: output.amax(positions),
    "gem": _gem,
}


class PooledLayer(nn.Module):
    """A network up to one of its modules, `layer`, whose output is pooled over `positions`, its axes of these.

    Images (n, 3, side, side) to (n, C) float32. What follows the layer runs in torch, and is in no graph made of this.
    """

    def __init__(self, net: nn.Module, layer: str, positions: tuple[int, ...], pooling: Pooling) -> None:
        super().__init__()
        self.net = net
        self.layer = layer
        self.positions = positions
        self.pooling = pooling

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) to (n, C)."""
        output = _output(self.net, self.layer, images)
        return POOLINGS[self.pooling](output, self.positions) if self.positions else output


def _output(net: nn.Module, layer: str, images: torch.Tensor) -> torch.Tensor:
    """What a layer gives of images. Raises ValueError where the network does not run it."""
    given = list[torch.Tensor]()
    handle = net.get_submodule(layer).register_forward_hook(lambda *passed: given.append(passed[-1]))
    try:
        net(images)
    finally:
        handle.remove()
    if not given:
        raise ValueError("the network does not run it")
    return given[0]


def _positions(output: object) -> tuple[int, ...]:
    """The axes of positions of what two square images gave: of tokens (2, T, C), of maps channels first or last.

    None of (2, C). Raises ValueError for anything else.
    """
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else ()
    if len(shape) not in (2, 3, 4) or shape[0] != 2:
        raise ValueError("it gives no features of two images")
    if len(shape) == 4:
        return (1, 2) if shape[1] == shape[2] != shape[3] else (2, 3)
    return tuple(range(1, len(shape) - 1))


def pool_last_map(net: nn.Module, pooling: Pooling, *, backbone: str, size_px: int) -> PooledLayer:
    """A classifier up to the last of its modules that gives maps, or tokens, of several positions.

    Raises WeightsError, which names the backbone, where none does.
    """
    for side in (max(size_px, _PROBE_PX), size_px):  # some networks take one size alone
        maps = _maps(net, side)
        if maps:
            layer, positions = maps[-1]
            return PooledLayer(net, layer, positions, pooling)
    raise WeightsError(
        f"backbones.{backbone}.pooling: the network gives no map that could be pooled by {pooling}; leave pooling out, "
        "or name a layer beside it"
    )


def _maps(net: nn.Module, side: int) -> list[tuple[str, tuple[int, ...]]]:
    """The modules that run once and give several positions, in the order in which they end, and the axes of these.

    Empty where the network takes no images of this side.
    """
    found, ended = list[tuple[str, tuple[int, ...]]](), Counter[str]()

    def note(name: str, output: object) -> None:
        ended[name] += 1
        with suppress(ValueError):
            positions = _positions(output)
            if any(output.shape[axis] > 1 for axis in positions):  # type: ignore[attr-defined]  # _positions raises
                found.append((name, positions))

    with ExitStack() as hooks:
        for name, module in net.named_modules():
            if name:
                handle = module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
                hooks.callback(handle.remove)
        with torch.inference_mode(), suppress(RuntimeError, AssertionError, ValueError):
            net.eval()(torch.zeros(2, 3, side, side))
            return [(name, positions) for name, positions in found if ended[name] == 1]
    return []


def cut_at(net: nn.Module, layer: str, pooling: Pooling = "average", *, backbone: str, size_px: int) -> PooledLayer:
    """A classifier up to a layer, the name of one of its modules.

    Raises WeightsError, which names the backbone, where there is no such layer, or none whose output has features.
    """
    where, names = f"backbones.{backbone}.layer", [name for name, _ in net.named_modules() if name]
    if layer not in names:
        outer = [name for name in names if name.count(".") <= 1]
        listed = f"it has {', '.join(outer)}" if len(outer) <= _MANY else f"it has {len(names)} others"
        raise WeightsError(f"{where}: there is no layer {layer!r}; {did_you_mean(layer, names)}{listed}")
    try:
        with torch.inference_mode():
            positions = _positions(_output(net.eval(), layer, torch.zeros(2, 3, size_px, size_px)))
    except ValueError as error:
        raise WeightsError(f"{where}: {layer} cannot be used, {error}; name another layer") from None
    return PooledLayer(net, layer, positions, pooling)
