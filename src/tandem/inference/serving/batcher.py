"""Images of requests that come at about the same time, in one pass of a model."""

import queue
import time
from concurrent.futures import Future
from threading import Thread
from typing import NamedTuple

import numpy as np

from tandem.inference.exported import ExportedModel


class _Waiting(NamedTuple):
    pixels: np.ndarray
    outputs: "Future[np.ndarray]"


class Batcher:
    """One thread computes; images wait for others, at most max_wait_s, until max_images are together.

    max_queued: requests that may wait. Close it, which lets those that wait come to their end.
    """

    def __init__(self, model: ExportedModel, *, max_images: int, max_wait_s: float, max_queued: int) -> None:
        self._model, self._max_images, self._max_wait_s = model, max_images, max_wait_s
        self._queue = queue.Queue[_Waiting | None](max_queued)
        self._thread = Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, pixels: np.ndarray) -> "Future[np.ndarray]":
        """What ExportedModel.outputs gives of these pixels, to come. Raises queue.Full."""
        waiting = _Waiting(pixels, Future())
        self._queue.put_nowait(waiting)
        return waiting.outputs

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = list[_Waiting]()
            is_open = self._gather(batch)
            if batch:
                self._compute(batch)

    def _gather(self, batch: list[_Waiting]) -> bool:
        """Fill a batch; False when nothing comes after it."""
        first = self._queue.get()
        end = time.monotonic() + self._max_wait_s
        while first is not None:
            batch.append(first)
            if sum(len(each.pixels) for each in batch) >= self._max_images * self._model.card.tta_views:
                return True
            try:
                first = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return True
        return False

    def _compute(self, batch: list[_Waiting]) -> None:
        try:
            outputs = self._model.outputs(np.concatenate([each.pixels for each in batch]))
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            for each in batch:
                each.outputs.set_exception(error)
            return
        ends = np.cumsum([len(each.pixels) // self._model.card.tta_views for each in batch])
        for each, part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
            each.outputs.set_result(part)
