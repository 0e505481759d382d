"""A backbone as an ONNX graph, with its features of the test images and those that fp32 by torch gives. No torch.

The first are of images that were scaled without torch, as `tandem predict` scales them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.features.engines.base import padded
from tandem.files import atomic_dir, load_array, read_json, reading, write_array, write_json
from tandem.inference.exported import PIXELS
from tandem.inference.runtime import start_session

if TYPE_CHECKING:
    import onnx

FEATURES = "features"  # the output; the input is that of an exported model


@dataclass(frozen=True, eq=False)
class ConvertedBackbone:
    """model: PIXELS (n, s, s, 3) uint8 to FEATURES (n, dim) float32. meta: of which weights, and how it was made."""

    model: "onnx.ModelProto"
    dim: int
    meta: Mapping[str, Any]


def save_converted(
    data: bytes, folder: Path, *, features: np.ndarray, reference: np.ndarray, meta: Mapping[str, Any]
) -> None:
    """Write `folder`, whole or not at all. features, reference: (n, k, D) float32 of the test images."""
    with atomic_dir(folder) as temporary:
        (temporary / "backbone.onnx").write_bytes(data)
        write_array(temporary / "features.npy", features)
        write_array(temporary / "reference.npy", reference)
        write_json(temporary / "meta.json", {**meta, "dim": features.shape[-1]})


def load_converted(folder: Path) -> ConvertedBackbone:
    """Read what save_converted wrote."""
    import onnx
    from google.protobuf.message import DecodeError

    meta, path = read_json(folder / "meta.json", keys=("dim",)), folder / "backbone.onnx"
    with reading(path):
        try:
            return ConvertedBackbone(onnx.load(path), meta["dim"], meta)
        except DecodeError as error:
            raise ValueError(str(error)) from None


def feature_dim(folder: Path) -> int:
    """How many features an image has, of what save_converted wrote."""
    with reading(folder / "meta.json"):
        return int(read_json(folder / "meta.json")["dim"])


def load_test_features(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(n, k, D) float32 features of the test images: those of the graph, and those of fp32 by torch."""
    return load_array(folder / "features.npy", ndim=3), load_array(folder / "reference.npy", ndim=3)


def largest_difference(features: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference of a feature, relative to the largest feature."""
    return float(np.abs(features - reference).max(initial=0) / max(np.abs(reference).max(initial=0), 1e-30))


def embed_with(data: bytes, batches: Iterable[np.ndarray], *, threads: int, batch_size: int) -> Iterator[np.ndarray]:
    """Batches (n, s, s, 3) uint8 to features (n, D), by ONNX Runtime. batch_size: smaller ones are padded."""
    session = start_session(data, threads=threads)
    for pixels in batches:
        yield session.run([FEATURES], {PIXELS: padded(pixels, batch_size)})[0][: len(pixels)]
