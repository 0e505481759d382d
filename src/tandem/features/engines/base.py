"""What an engine is, and the reference that the others are held against. Tested in tests/features/test_engine.py."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

Embed = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Engine:
    """name: for the record, e.g. "openvino bf16".

    embed: batches (n, H, W, 3) uint8 to features (m, D) float32 in the same order; m may be smaller than n.
    """

    name: str
    embed: Embed


def reference_engine(net: "nn.Module", device: "torch.device") -> Engine:
    """Plain torch in fp32; convolutions on CUDA would else take TF32, which has a mantissa of ten bits."""
    import torch

    def embed(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        net.to(device)
        for pixels in batches:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                features = net(torch.from_numpy(pixels).to(device)).float().cpu().numpy()
            yield features

    return Engine("torch float32", embed)
