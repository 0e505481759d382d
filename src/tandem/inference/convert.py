"""A backbone that was trained on, frozen or fine-tuned, to an ONNX graph. Imports torch."""

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch

from tandem.errors import DataError
from tandem.features.backbones.backbone import Backbone, load_backbone, state_digest
from tandem.features.backbones.weights import restore
from tandem.features.device import select_device
from tandem.features.engines.base import Engine, reference_engine
from tandem.features.extract import extract
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import read_json
from tandem.inference.converted import FEATURES, embed_with, largest_difference, save_converted
from tandem.inference.exported import PIXELS
from tandem.inference.graph import OPSET
from tandem.types import Encoded


def convert(
    backbone: Backbone,
    images: Sequence[Encoded],
    folder: Path,
    *,
    settings: ExtractSettings,
    device: str,
    batch_size: int,
    workers: int,
) -> float:
    """Write `folder`, see converted.py; the largest difference of the two features. images: those of test."""
    data = to_onnx(backbone, size_px=settings.size_px)
    engines = onnx_engine(data, threads=workers), reference_engine(backbone.net, select_device(device))
    features, reference = (
        np.concatenate(
            list(
                extract(
                    images,
                    engine=engine,
                    settings=settings,
                    batch_size=batch_size,
                    workers=workers,
                    name=backbone.name,
                )
            )
        )
        for engine in engines
    )
    meta = {"backbone": backbone.name, "weights_sha256": backbone.digest}
    save_converted(data, folder, features=features, reference=reference, meta=meta)
    return largest_difference(features, reference)


def trained_backbone(name: str, weights: BackboneSettings, settings: ExtractSettings, *, folder: Path) -> Backbone:
    """The backbone whose features heads were trained on, frozen or fine-tuned. folder: what finetune wrote.

    Raises DataError where its weights are others than those of the features in the folder.
    """
    is_tuned = (folder / "backbone.pt").is_file()
    backbone = load_backbone(name, weights, seed=settings.seed, size_px=settings.size_px, early_exit=not is_tuned)
    if is_tuned:
        restore(backbone.net, folder / "backbone.pt")
    expected = str(read_json(folder / "meta.json", keys=("weights_sha256",))["weights_sha256"])
    digest = state_digest(backbone.net)
    if digest != expected:
        raise DataError(
            f"the weights of {name} have digest {digest[:12]}, and {folder} holds features of {expected[:12]}; "
            "run `dvc repro` again"
        )
    return backbone


def to_onnx(backbone: Backbone, *, size_px: int) -> bytes:
    """PIXELS (n, size_px, size_px, 3) uint8 for any n, to FEATURES (n, D) float32. Normalisation is inside."""
    example = torch.zeros(2, size_px, size_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            backbone.net,
            (example,),
            input_names=[PIXELS],
            output_names=[FEATURES],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")  # stack traces, with paths of this machine
    return model.SerializeToString(deterministic=True)


def onnx_engine(data: bytes, *, threads: int) -> Engine:
    """A backbone's graph as an engine. threads: that compute; 0 is one a core."""
    return Engine("ONNX Runtime", lambda batches: embed_with(data, batches, threads=threads))
