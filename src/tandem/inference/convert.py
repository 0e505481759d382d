"""A backbone that was trained on, frozen or fine-tuned, to an ONNX graph. Torch is loaded where one is made.

A graph is made once for its weights: later runs, whatever their test images are, have it from the user's cache folder.
"""

import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tandem.cache.recipe import circumstances, code_digest
from tandem.cache.store import BYTES_A_GB, ResultStore, cache_dir
from tandem.errors import DataError
from tandem.features.embedding import Extractor, Loaded
from tandem.features.engines.base import REFERENCE, Engine, reference_engine
from tandem.features.recipe import common_recipe, network_recipe
from tandem.features.reuse import extract_once
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import read_json
from tandem.images.scaling import scale_by_numpy, scale_by_torch
from tandem.inference.converted import FEATURES, embed_with, largest_difference, save_converted
from tandem.inference.exported import PIXELS
from tandem.types import Encoded

if TYPE_CHECKING:
    from tandem.features.backbones.backbone import Backbone

ENGINE = "ONNX Runtime"
_RUNS_GRAPHS = ("inference/converted.py", "inference/runtime.py")  # of this package
_MAKES_GRAPHS = ("features", "seeding.py", "inference/convert.py", "inference/exported.py", "inference/graph.py")
_MADE_BY = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnx-ir", "numpy")


@dataclass(frozen=True)
class TrainedBackbone:
    """A backbone whose features heads were trained on. digest: sha256 of its weights, as those features' stage has it.

    recipe: what its graph and features depend on besides these. load: builds it, with torch, and holds it against the
    digest.
    """

    name: str
    digest: str
    recipe: Mapping[str, object]
    load: "Callable[[], Backbone]"

    @cached_property
    def loaded(self) -> "Backbone":
        """It, built once. Raises what load does."""
        return self.load()


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
    backbone: TrainedBackbone,
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
    """Write `folder`, see converted.py. images, ids: those of test. max_gb: see extract_once.

    The same bytes as from an empty cache. Where the graph and all features are there, the backbone is not loaded.
    """
    data = graph_of(backbone, settings, max_gb=max_gb)
    recipe = {**common_recipe(settings, device=device, batch_size=batch_size), **backbone.recipe}
    recipe |= {"threads": workers, "graph code": code_digest(_RUNS_GRAPHS), "backbone": backbone.name}
    both = [
        extract_once(
            images,
            ids=ids,
            extractor=extractor,
            settings=settings,
            batch_size=batch_size,
            workers=workers,
            name=backbone.name,
            max_gb=max_gb,
        )
        for extractor in (
            # the first is what `tandem predict` computes of an image, by which the exported file is judged
            _on_graph(backbone, data, recipe, threads=workers, batch_size=batch_size),
            _by_torch(backbone, recipe, device=device, batch_size=batch_size),
        )
    ]
    features, reference = (np.concatenate(list(each.batches)) for each in both)
    meta = {"backbone": backbone.name, "weights_sha256": backbone.digest}
    save_converted(data, folder, features=features, reference=reference, meta=meta)
    return Conversion(len(images), both[0].num_new, largest_difference(features, reference))


def _on_graph(
    backbone: TrainedBackbone, data: bytes, recipe: Mapping[str, object], *, threads: int, batch_size: int
) -> Extractor:
    digest = hashlib.sha256(data).hexdigest()

    def load() -> Loaded:
        return Loaded(onnx_engine(data, threads=threads, batch_size=batch_size), backbone.loaded.dim, digest)

    return Extractor({**recipe, "engine": ENGINE, "network": digest}, load, scale_by_numpy)


def _by_torch(backbone: TrainedBackbone, recipe: Mapping[str, object], *, device: str, batch_size: int) -> Extractor:
    def load() -> Loaded:
        from tandem.features.device import select_device

        engine = reference_engine(backbone.loaded.net, select_device(device), batch_size=batch_size)
        return Loaded(engine, backbone.loaded.dim, backbone.digest)

    return Extractor({**recipe, "engine": REFERENCE, "network": backbone.digest}, load, scale_by_torch)


def trained_backbone(
    name: str, weights: BackboneSettings, settings: ExtractSettings, *, folder: Path
) -> TrainedBackbone:
    """The backbone whose features heads were trained on, frozen or fine-tuned. folder: of finetune.

    What it loads raises DataError where its weights are others than those of the features in the folder.
    """
    is_tuned = (folder / "backbone.pt").is_file()
    expected = str(read_json(folder / "meta.json", keys=("weights_sha256",))["weights_sha256"])

    def load() -> "Backbone":
        from tandem.features.backbones.backbone import load_backbone, state_digest
        from tandem.features.backbones.weights import restore

        backbone = load_backbone(name, weights, seed=settings.seed, size_px=settings.size_px, early_exit=not is_tuned)
        if is_tuned:
            restore(backbone.net, folder / "backbone.pt")
        digest = state_digest(backbone.net)
        if digest != expected:
            raise DataError(
                f"the weights of {name} have digest {digest[:12]}, and {folder} holds features of {expected[:12]}; "
                "run `dvc repro` again"
            )
        return replace(backbone, digest=digest)

    recipe = {**network_recipe(name, weights), "is_tuned": is_tuned}
    return TrainedBackbone(name, expected, recipe, load)


def graph_of(backbone: TrainedBackbone, settings: ExtractSettings, *, max_gb: float) -> bytes:
    """What to_onnx makes of a backbone, from the cache where it was made before. max_gb: see extract_once."""
    recipe = {**backbone.recipe, "size_px": settings.size_px, **circumstances(_MAKES_GRAPHS, _MADE_BY)}
    store = ResultStore(cache_dir(), recipe, max_bytes=int(max_gb * BYTES_A_GB), dtype="|u1")
    try:
        stored = store.read([backbone.digest])
        if backbone.digest in stored:
            return stored[backbone.digest].tobytes()
        data = to_onnx(backbone.loaded, size_px=settings.size_px)
        store.prepare({"value": "graph"}, ids=[backbone.digest], num_new=1, row_bytes=len(data))
        store.write([backbone.digest], [np.frombuffer(data, np.uint8)])
        return data
    finally:
        store.close()


def to_onnx(backbone: "Backbone", *, size_px: int) -> bytes:
    """PIXELS (n, size_px, size_px, 3) uint8 for any n, to FEATURES (n, D) float32. Normalisation is inside."""
    import torch

    from tandem.inference.graph import OPSET

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
    return Engine(ENGINE, lambda batches: embed_with(data, batches, threads=threads, batch_size=batch_size))
