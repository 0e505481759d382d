"""What an engine is, and the reference that the others are held against. Tested in tests/features/test_engine.py."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

REFERENCE = "torch float32"  # the name of the reference engine
Embed = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Engine:
    """name: for the record, e.g. "openvino bf16".

    embed: batches (n, H, W, 3) uint8 to features (m, D) float32 in the same order; m may be smaller than n.
    """

    name: str
    embed: Embed


def padded(pixels: np.ndarray, num_images: int) -> np.ndarray:
    """A batch, with black images after it if it is a smaller one.

    The sums of a network may be taken in another order in batches of another size, and features differ in their last
    bits then: passes that are all alike give an image the same bytes, whatever images it is with.
    """
    missing = max(num_images - len(pixels), 0)
    return np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pixels


def reference_engine(net: "nn.Module", device: "torch.device", *, batch_size: int) -> Engine:
    """Plain torch in fp32; convolutions on CUDA would else take TF32, which has a mantissa of ten bits.

    batch_size: of a pass; smaller batches are padded.
    """
    import torch

    def embed(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        net.to(device)
        for pixels in batches:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                features = net(torch.from_numpy(padded(pixels, batch_size)).to(device)).float().cpu().numpy()
            yield features[: len(pixels)]

    return Engine(REFERENCE, embed)
