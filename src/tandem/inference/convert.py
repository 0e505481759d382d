"""A backbone that was trained on, frozen or fine-tuned, to an ONNX graph. Imports torch."""

import hashlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tandem.cache.recipe import code_digest
from tandem.errors import DataError
from tandem.features.backbones.backbone import Backbone, load_backbone, state_digest
from tandem.features.backbones.weights import restore
from tandem.features.device import select_device
from tandem.features.embedding import Extractor, Loaded
from tandem.features.engines.base import Engine, reference_engine
from tandem.features.recipe import common_recipe
from tandem.features.reuse import extract_once
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import read_json
from tandem.images.scaling import Scale, scale_by_numpy, scale_by_torch
from tandem.inference.converted import FEATURES, embed_with, largest_difference, save_converted
from tandem.inference.exported import PIXELS
from tandem.inference.graph import OPSET
from tandem.types import Encoded

_GRAPH_CODE = ("inference/converted.py", "inference/runtime.py")  # that runs a graph, of this package


@dataclass(frozen=True)
class Conversion:
    """difference: the largest of the graph's features to those of torch in fp32. num_new: images that were computed."""

    num_images: int
    num_new: int
    difference: float

    def in_words(self) -> str:
        """How many images, how many of them new, and how well both agree."""
        counts = f"features of {self.num_images:,} images, {self.num_new:,} of them new,"
        return f"{counts} within {self.difference:.1e} of torch in fp32"


def convert(
    backbone: Backbone,
    images: Sequence[Encoded],
    folder: Path,
    *,
    ids: Sequence[str],
    settings: ExtractSettings,
    device: str,
    batch_size: int,
    workers: int,
    max_gb: float,
) -> Conversion:
    """Write `folder`, see converted.py. images, ids: those of test. max_gb: see extract_once."""
    data = to_onnx(backbone, size_px=settings.size_px)
    on_graph = onnx_engine(data, threads=workers, batch_size=batch_size)
    by_torch = reference_engine(backbone.net, select_device(device), batch_size=batch_size)
    # the first is what `tandem predict` computes of an image, by which the exported file is judged
    ways = (on_graph, hashlib.sha256(data).hexdigest(), scale_by_numpy), (by_torch, backbone.digest, scale_by_torch)
    recipe = common_recipe(settings, device=device, batch_size=batch_size)
    recipe |= {"threads": workers, "graph code": code_digest(_GRAPH_CODE)}
    both = [
        extract_once(
            images,
            ids=ids,
            extractor=_extractor(backbone, engine, digest, recipe, scale),
            settings=settings,
            batch_size=batch_size,
            workers=workers,
            name=backbone.name,
            max_gb=max_gb,
        )
        for engine, digest, scale in ways
    ]
    features, reference = (np.concatenate(list(each.batches)) for each in both)
    meta = {"backbone": backbone.name, "weights_sha256": backbone.digest}
    save_converted(data, folder, features=features, reference=reference, meta=meta)
    return Conversion(len(images), both[0].num_new, largest_difference(features, reference))


def _extractor(
    backbone: Backbone, engine: Engine, digest: str, recipe: Mapping[str, object], scale: Scale
) -> Extractor:
    """digest: of what the engine runs, the network or its graph."""
    of_engine = {**recipe, "backbone": backbone.name, "engine": engine.name, "network": digest}
    return Extractor(of_engine, lambda: Loaded(engine, backbone.dim, digest), scale)


def trained_backbone(name: str, weights: BackboneSettings, settings: ExtractSettings, *, folder: Path) -> Backbone:
    """The backbone whose features heads were trained on, frozen or fine-tuned, and its own digest. folder: of finetune.

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
    return replace(backbone, digest=digest)


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


def onnx_engine(data: bytes, *, threads: int, batch_size: int) -> Engine:
    """A backbone's graph as an engine. threads: that compute; 0 is one a core. batch_size: see embed_with."""
    return Engine("ONNX Runtime", lambda batches: embed_with(data, batches, threads=threads, batch_size=batch_size))
