"""Features of an earlier layer than the last one: the mean over positions of what it gives.

The last layers of a network are made for the classes that it was trained on, and earlier ones can tell more about
images that are unlike these (Yosinski et al., "How transferable are features in deep neural networks?", 2014).
"""

import torch
from torch import nn

from tandem.errors import WeightsError, did_you_mean

_MANY = 40  # layers, which a message does not list


class PooledLayer(nn.Module):
    """A network up to one of its modules, `layer`, whose output is averaged over `positions`, its axes of these.

    Images (n, 3, side, side) to (n, C) float32. What follows the layer runs in torch, and is in no graph made of this.
    """

    def __init__(self, net: nn.Module, layer: str, positions: tuple[int, ...]) -> None:
        super().__init__()
        self.net = net
        self.layer = layer
        self.positions = positions

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) to (n, C)."""
        output = _output(self.net, self.layer, images)
        return output.mean(self.positions) if self.positions else output


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


def cut_at(net: nn.Module, layer: str, *, backbone: str, size_px: int) -> PooledLayer:
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
    return PooledLayer(net, layer, positions)
