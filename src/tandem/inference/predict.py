"""Predictions for image files by an exported model, a few images at a time."""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import CorruptImageError
from tandem.evaluation.conformal import is_ood, names_in_set
from tandem.images.loader import BATCHES_AHEAD, IMAGES_A_TASK
from tandem.images.scaling import Scale, scale_by_numpy
from tandem.images.signatures import bytes_to_decode, stream_to_decode
from tandem.images.transforms import fill_transformed
from tandem.inference.exported import ExportedModel, ModelCard
from tandem.types import Encoded

STDIN = Path("-")  # stands for an image on standard input
MAX_PIXELS = 200_000_000  # of an image, which takes 0.6 GB
_NOT_AN_IMAGE = "not_an_image"


@dataclass(frozen=True, eq=False)
class FilePrediction:
    """Of one file: probs (C,) of the classes and its OOD score, or the reason why there are none.

    view: (s, s, 3) uint8, the image as the model sees it; the first one of several TTA views.
    """

    path: str
    probs: np.ndarray | None = None
    ood_score: float = 0.0
    view: np.ndarray | None = None
    failure: str = ""
    is_image: bool = True

    @property
    def confidence(self) -> float:
        """The highest prob; 0 without any."""
        return 0.0 if self.probs is None else float(self.probs.max())


_Loaded = tuple[Encoded, FilePrediction | np.ndarray]  # the views of an image, or why there are none


def predict_files(
    images: Sequence[Encoded], model: ExportedModel, *, batch_size: int, workers: int, scale: Scale = scale_by_numpy
) -> Iterator[FilePrediction]:
    """A prediction for each image, in their order; a file that cannot be read or decoded stops none of the others."""
    with ThreadPoolExecutor(workers) as pool:
        loaded: deque[_Loaded] = deque()
        batches = _batches(images, loaded, pool, model.card, scale, batch_size=batch_size)
        for rows in model.engine.embed(batches):
            for outputs in rows:
                yield from _failures(loaded)
                image, views = loaded.popleft()
                assert isinstance(views, np.ndarray)
                yield predicted(str(image), outputs, view=views[0])
        yield from _failures(loaded)


def predicted(path: str, outputs: np.ndarray, *, view: np.ndarray | None = None) -> FilePrediction:
    """The prediction of a file. outputs: (C + 1,), a row of ExportedModel.outputs."""
    return FilePrediction(path, probs=outputs[:-1], ood_score=float(outputs[-1]), view=view)


def as_row(prediction: FilePrediction, card: ModelCard, *, top_k: int) -> dict[str, Any]:
    """path, label, confidence, reject, none_of_these, ood_score, set and the probs of the top_k classes, highest first.

    reject: it is left to a person. none_of_these: its OOD score is above the card's threshold. set: the classes of the
    prediction set, the most probable first.
    """
    assert prediction.probs is not None
    class_names, order = card.class_names, (-prediction.probs).argsort(kind="stable")[:top_k].tolist()
    return {
        "path": prediction.path,
        "label": class_names[order[0]],
        "confidence": prediction.confidence,
        "reject": prediction.confidence < card.reject_threshold,
        "none_of_these": bool(is_ood(np.array([prediction.ood_score]), card.ood_threshold)[0]),
        "ood_score": prediction.ood_score,
        "set": names_in_set(prediction.probs, card.set_threshold, class_names),
        "probs": {class_names[index]: float(prediction.probs[index]) for index in order},
    }


def _read(image: Encoded) -> bytes:
    if image == STDIN:
        return stream_to_decode(sys.stdin.buffer)
    return bytes_to_decode(image) if isinstance(image, Path) else image.read_bytes()


def _batches(
    images: Sequence[Encoded],
    loaded: deque[_Loaded],
    pool: ThreadPoolExecutor,
    card: ModelCard,
    scale: Scale,
    *,
    batch_size: int,
) -> Iterator[np.ndarray]:
    """The views of batch_size images at a time, while later ones are loaded; all that is loaded is appended."""
    waiting = deque[tuple[np.ndarray, list[Future[list[_Loaded]]]]]()
    for start in range(0, len(images) + BATCHES_AHEAD * batch_size, batch_size):
        batch = images[start : start + batch_size]
        out = np.empty((len(batch), card.tta_views, card.size_px, card.size_px, 3), np.uint8)
        parts = (slice(at, at + IMAGES_A_TASK) for at in range(0, len(batch), IMAGES_A_TASK))
        waiting.append((out, [pool.submit(_load, batch[part], out[part], card, scale) for part in parts]))
        if len(waiting) > BATCHES_AHEAD:
            out, futures = waiting.popleft()
            done = [each for part in futures for each in part.result()]
            loaded.extend(done)
            is_loaded = [isinstance(views, np.ndarray) for _, views in done]
            if any(is_loaded):
                yield (out if all(is_loaded) else out[is_loaded]).reshape(-1, *out.shape[2:])


def _load(images: Sequence[Encoded], out: np.ndarray, card: ModelCard, scale: Scale) -> list[_Loaded]:
    """Write the views of each image to its place in `out`, (n, tta_views, s, s, 3)."""
    found: list[_Loaded] = []
    for image, views in zip(images, out, strict=True):
        try:
            fill_transformed(
                _read(image),
                views,
                resize=card.resize,
                interpolation=card.interpolation,
                scale=scale,
                max_pixels=MAX_PIXELS,
                max_side_px=card.max_side_px,
            )
            found.append((image, views))
        except CorruptImageError as error:
            is_image = error.reason != _NOT_AN_IMAGE
            found.append((image, FilePrediction(str(image), failure=str(error), is_image=is_image)))
        except OSError as error:
            found.append((image, FilePrediction(str(image), failure=error.strerror or str(error))))
    return found


def _failures(loaded: deque[_Loaded]) -> Iterator[FilePrediction]:
    """Those before the next image, taken out."""
    while loaded and isinstance(failure := loaded[0][1], FilePrediction):
        loaded.popleft()
        yield failure
