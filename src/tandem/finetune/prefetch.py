"""Batches for a device, made by a thread while it computes on others, and how long it waited for them."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

_AHEAD = 2  # batches made ahead, and steps of the host ahead of a GPU: few are held, and hiccups are not felt
_Batch = tuple[torch.Tensor, ...]
_Moment = Any  # seconds of the host's clock, on CUDA an event


class Prefetcher:
    """The same batches in the same order. The time between two of them is the step's, that until the next is waited.

    On CUDA they are made on a stream of their own, and time is the device's: it waits only when it has nothing to do.
    """

    def __init__(self, batches: Iterator[_Batch], device: torch.device) -> None:
        self._batches = batches
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._waits = list[tuple[_Moment, _Moment]]()

    def __iter__(self) -> Iterator[_Batch]:
        last, in_flight = self._now(), deque[tuple[_Moment, _Batch]](maxlen=_AHEAD + 1)
        with ThreadPoolExecutor(1) as pool:
            waiting = deque(pool.submit(self._make) for _ in range(_AHEAD))
            while made := waiting.popleft().result():
                batch, ready = made
                waiting.append(pool.submit(self._make))
                if ready:
                    torch.cuda.current_stream().wait_event(ready)
                self._waits.append((last, self._now()))
                yield batch
                last = self._now()
                in_flight.append((last, batch))
                if self._stream and len(in_flight) > _AHEAD:
                    in_flight.popleft()[0].synchronize()

    def wait_s(self) -> float:
        """Seconds that were waited, for the first batch too. All steps must be done."""
        return sum(_seconds(*wait) for wait in self._waits)

    def _make(self) -> tuple[_Batch, torch.cuda.Event | None] | None:
        """The next batch and, on CUDA, when it is ready; None after the last."""
        with torch.cuda.stream(self._stream):  # None leaves all as it is
            if (batch := next(self._batches, None)) is None:
                return None
            return batch, self._stream.record_event() if self._stream else None

    def _now(self) -> _Moment:
        if not self._stream:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True, blocking=True)
        event.record()
        return event


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array there; on CUDA by way of pinned memory, without waiting for what was queued before."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _seconds(start: _Moment, end: _Moment) -> float:
    return end - start if isinstance(start, float) else start.elapsed_time(end) / 1000
