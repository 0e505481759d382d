"""Images to rows on CUDA: in half precision, as a CUDA graph over as many as fill the device, fewer padded.

All passes are alike, so a row's bytes do not depend on batches. Measured on an H200 with 16 cores:

- bfloat16 is no faster, and took MobileNetV2's features to a cosine of 0.973 to those of fp32; half precision 0.9997.
- Launched one by one beside the threads that decode, the kernels of a pass gave 23,400 rows of MobileNetV2 a second,
  as a graph 27,100. cuDNN's search for the fastest kernels and folded BatchNorms gave nothing.
- torch.compile would compute 1.6 to 1.8 times as fast, 8 to 15 s later; but decoding takes several times as long as
  computing as it is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import nn

from tandem.features.cuda_graph import WARM_UP, GraphedCallable

_AREA_AT_ONCE = 256 * 224**2  # pixels of the images that fill a GPU
_IN_FLIGHT = 3  # replays: one computes, one waits, the pixels of one are gathered
_Rows = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


class _PinnedBuffer:
    """What one pass over the device reads and writes on the host, in pinned memory, and the pixels' place there."""

    def __init__(self, blank: torch.Tensor, dim: int) -> None:
        self.pixels = torch.empty(blank.shape, dtype=torch.uint8, pin_memory=True)
        self.rows = torch.empty(len(blank), dim, pin_memory=True)
        self.there = torch.empty_like(blank)
        self.done, self.count = torch.cuda.Event(blocking=True), 0

    def finish(self) -> np.ndarray:
        """The rows, once they are there."""
        self.done.synchronize()
        return self.rows[: self.count].numpy().copy()


def full_batch_size(size_px: int) -> int:
    """How many images a pass is of."""
    return max(1, _AREA_AT_ONCE // size_px**2)


def forward(net: nn.Module, dtype: torch.dtype = torch.half) -> Callable[[torch.Tensor], torch.Tensor]:
    """(n, H, W, 3) uint8 to (n, D) float32, under autocast."""

    def run(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cuda", dtype):
            return net(pixels).float()

    return run


def fp16_embedder(net: nn.Module, device: torch.device, *, size_px: int) -> _Rows:
    """See Engine.rows. net: (n, H, W, 3) uint8 to (n, D). Raises RuntimeError where memory does not suffice."""
    replay, copying, num = GraphedCallable(forward(net.to(device))), torch.cuda.Stream(device), full_batch_size(size_px)
    blank = torch.zeros(num, size_px, size_px, 3, dtype=torch.uint8, device=device)
    dim = [replay(blank) for _ in range(WARM_UP + 1)][-1].shape[1]

    def start(slot: _PinnedBuffer, parts: list[np.ndarray]) -> None:
        slot.count = sum(map(len, parts))
        np.concatenate(parts, out=slot.pixels[: slot.count].numpy())
        with torch.cuda.stream(copying):
            slot.there.copy_(slot.pixels, non_blocking=True)
        torch.cuda.current_stream().wait_stream(copying)
        slot.rows.copy_(replay(slot.there), non_blocking=True)
        slot.done.record()

    def rows(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        free, waiting = [_PinnedBuffer(blank, dim) for _ in range(_IN_FLIGHT)], deque[_PinnedBuffer]()
        copying.wait_stream(torch.cuda.current_stream())  # which may still use what the slots were given
        for parts in rebatch(batches, num):
            if not free:
                yield waiting[0].finish()
                free.append(waiting.popleft())
            waiting.append(free.pop())
            start(waiting[-1], parts)
        yield from (slot.finish() for slot in waiting)

    return rows


def rebatch(batches: Iterable[np.ndarray], count: int) -> Iterator[list[np.ndarray]]:
    """The same images in lists of arrays that hold `count` in all, the last one fewer."""
    parts, room = list[np.ndarray](), count
    for batch in batches:
        while len(batch):
            parts.append(batch[:room])
            batch, room = batch[room:], room - len(parts[-1])
            if not room:
                yield parts
                parts, room = [], count
    if parts:
        yield parts
