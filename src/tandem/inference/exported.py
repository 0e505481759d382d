"""An exported model: one ONNX file that says what it is, and that is refused when it was changed.

Imports no torch.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import DataError
from tandem.features.engines.base import Engine
from tandem.features.engines.openvino import graph_engine, has_openvino
from tandem.files import atomic_file
from tandem.images.decode import Resize
from tandem.inference.runtime import start_session
from tandem.types import Interpolation

CARD, DIGEST = "tandem", "sha256"  # keys in the file's metadata
PIXELS = "pixels"  # the input
PROBABILITIES, OOD_SCORE = "probabilities", "ood_score"  # the outputs
BLANK = "0" * 64  # in the place of the digest while it is computed


@dataclass(frozen=True)
class ModelCard:
    """What an exported file says of itself.

    model: its row in the results table. size_px, resize, interpolation, tta_views, max_side_px: the transform of its
    input. temperature: by which its logits were divided. reject_threshold: a prediction of a lower confidence is left
    to a person. set_threshold: a class of at least this prob is in the prediction set. ood_threshold: an image of a
    higher OOD score is of none of the classes; None flags none. provenance: data, parameters, licences, code, scores.
    """

    model: str
    class_names: tuple[str, ...]
    size_px: int
    resize: Resize
    tta_views: int
    temperature: float
    reject_threshold: float
    set_threshold: float
    ood_threshold: float | None
    provenance: Mapping[str, Any]
    max_side_px: int | None = None
    interpolation: Interpolation = "bilinear"  # as in files that do not say it

    def to_json(self) -> str:
        """As read_card reads it."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """sha256: that the file, data, states. engine: of pixels as `outputs` takes them, to what that gives."""

    card: ModelCard
    sha256: str
    engine: Engine
    data: bytes = field(repr=False)

    def outputs(self, pixels: np.ndarray) -> np.ndarray:
        """(n * tta_views, size_px, size_px, 3) uint8, the views of an image one after another, to (n, C + 1) float32.

        The probs of the classes and, last, the OOD score.
        """
        return np.concatenate(list(self.engine.embed([pixels])))

    def probs(self, pixels: np.ndarray) -> np.ndarray:
        """(n, C) float32, of pixels as `outputs` takes them."""
        return self.outputs(pixels)[:, :-1]


def seal(data: bytes, path: Path) -> str:
    """Write a model whose digest is BLANK with its digest, whole or not at all; the digest."""
    digest = hashlib.sha256(data).hexdigest()
    with atomic_file(path) as temporary:
        temporary.write_bytes(data.replace(BLANK.encode(), digest.encode()))
    return digest


def load_exported(path: Path, *, threads: int = 0, is_fast: bool = False) -> ExportedModel:
    """The model of a file that `tandem export` wrote. threads: that compute; 0 is one a core.

    is_fast: by OpenVINO, in bf16 where the processor has it, and not in fp32 by ONNX Runtime. Raises DataError where
    there is no such file, where it is another kind of file, where it was changed, or where OpenVINO is missing.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device may have no end
        raise DataError(f"{path} is a device, pipe or socket; name a model that `tandem export` wrote by --model")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"there is no model at {path} ({error.strerror}); `tandem export` writes one, and --model names it"
        ) from None
    try:
        session = start_session(data, threads=threads)
    except ValueError as error:
        raise DataError(f"{path} is not a model that can be read: {error}; export it again") from None
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        _require_outputs(session, metadata, path)
        card, stated = _read_card(metadata[CARD]), _read_digest(metadata[DIGEST])
    except (KeyError, ValueError, TypeError):
        raise DataError(f"{path} is not a model that `tandem export` wrote; name one that is by --model") from None
    found = hashlib.sha256(data.replace(stated.encode(), BLANK.encode())).hexdigest()
    if found != stated:
        raise DataError(
            f"{path} was changed after it was exported: its sha256 is {found[:12]}..., and it states {stated[:12]}...; "
            "take the file as it was exported, or export it again"
        )
    engine = _fast_engine(data, card) if is_fast else _session_engine(session)
    return ExportedModel(card, stated, engine, data)


def _require_outputs(session: Any, metadata: Mapping[str, str], path: Path) -> None:
    """Raise DataError for a file of an earlier version, which has no OOD score."""
    names = [each.name for each in session.get_outputs()]
    if metadata[CARD] and PROBABILITIES in names and OOD_SCORE not in names:
        raise DataError(
            f"{path} has no output {OOD_SCORE}: an earlier version of tandem exported it; export it again by "
            "`dvc repro` or `tandem export`, or predict by that version"
        )


def _session_engine(session: Any) -> Engine:
    def run(pixels: np.ndarray) -> np.ndarray:
        probs, scores = session.run([PROBABILITIES, OOD_SCORE], {PIXELS: pixels})
        return np.column_stack([probs, scores])

    return Engine("onnxruntime f32", lambda batches: map(run, batches))


def _fast_engine(data: bytes, card: ModelCard) -> Engine:
    if not has_openvino():
        raise DataError(
            f"a fast prediction needs OpenVINO, and {sys.prefix} has none for this processor; predict without --fast"
        )
    return graph_engine(data, size_px=card.size_px, tta_views=card.tta_views)


def _read_digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is no sha256")
    return text


def _read_card(text: str) -> ModelCard:
    fields = json.loads(text)
    return ModelCard(**{**fields, "class_names": tuple(fields["class_names"])})
