"""How fast a trained model predicts from files, and how near its file is to torch.

    python benchmarks/predict.py [--project DIR] [--families] [--json FILE]

DIR is a project in which `dvc repro` has run; without it, this one, after `make run`. Each row of its results is
exported, held against torch in fp32 on all test images, and predicts all images from their files on all cores, in fp32
and by --fast. Beside that stands what the stage `extract` takes for the same files and the backbones that a row reads:
decoding, and a pass of its engine.
The start is that of `tandem predict` for one image as a whole process, beside that of `python -c "import numpy"`.

--families: one network of each family that torchvision has, the smallest, with random weights: its features of images
of 224 px by the graph and by torch, relative to the largest. Takes eight minutes more.

Prints required beside reached and exits 1 when a figure falls short. About two minutes; run it on a machine that does
nothing else.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from figures import Figure, at_least, at_most, conclude, make_parser, reported
from scratch import ROOT
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.backbones.backbone import load_backbone
from tandem.features.device import select_device
from tandem.features.engines.base import reference_engine
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.images.scaling import fastest_scale
from tandem.inference.convert import onnx_engine, to_onnx
from tandem.inference.converted import largest_difference
from tandem.inference.export import export_model, provenance_of
from tandem.inference.exported import ExportedModel, load_exported
from tandem.inference.parity import MAX_DIFFERENCE
from tandem.inference.predict import FilePrediction, predict_files
from tandem.ood.settings import OodSettings
from tandem.pipeline.params import read_params, section, sections
from tandem.pipeline.trained import trained_models
from tandem.tables.samples import load_samples
from tandem.tables.stored import load_stored
from tandem.types import Encoded

FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnext50_32x4d"),
    *("shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vit_b_16", "wide_resnet50_2"),
)
SIZE_PX, BATCH_SIZE, NUM_STARTS, NUM_ROUNDS, WORKERS = 224, 16, 7, 7, os.cpu_count() or 1
MAX_START_S, MAX_FEATURE_DIFFERENCE, MIN_SPEED = 2.0, 1e-4, 1.0
Compute = Callable[[Sequence[Encoded]], Iterable[Any]]  # of image files
PREDICT = "from tandem.cli.main import app; app()"


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--families", action="store_true")
    arguments = parser.parse_args()
    os.chdir(arguments.project)
    if not Path("data/export/model.onnx").is_file():
        sys.exit(f"error: nothing was exported in {arguments.project}; run `dvc repro` there, or name another project")
    params = read_params()
    images = load_stored(Path("data/merge/stored.csv")).packed(Path("data/ingest"))
    figures = list(start_figures(images[0]))
    figures += model_figures(params, images)
    conclude(figures + (list(map(family_figure, FAMILIES)) if arguments.families else []), arguments)


def start_figures(image: Encoded) -> Iterator[Figure]:
    """Medians of whole processes, in turn."""
    numpy = [sys.executable, "-c", "import numpy"]
    with tempfile.NamedTemporaryFile() as file:
        file.write(image.read_bytes())
        file.flush()
        predict = [sys.executable, "-c", PREDICT, "predict", "--model", "data/export/model.onnx", file.name]
        pairs = [(process_seconds(predict), process_seconds(numpy)) for _ in range(NUM_STARTS)]
    seconds, floor = (statistics.median(column) for column in zip(*pairs, strict=True))
    yield at_most("`tandem predict` of one image, s", MAX_START_S, seconds)
    yield reported('`python -c "import numpy"`, s', floor)


def process_seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def extractions(params: Mapping[str, Any]) -> dict[str, Compute]:
    """What passes images through each backbone, as the stage does."""
    settings, found = section(params, "extract", ExtractSettings), dict[str, Compute]()
    for name, weights in sections(params, "backbones", BackboneSettings).items():
        backbone = load_backbone(name, weights, seed=settings.seed, size_px=settings.size_px)
        engine = start_engine(
            backbone, engine=settings.engine, size_px=settings.size_px, batch_size=BATCH_SIZE, device="cpu"
        )
        found[name] = partial(
            extract, engine=engine, settings=settings, batch_size=BATCH_SIZE, workers=WORKERS, name=name
        )
    return found


def seconds_by_turns(computed: Sequence[Compute], images: Sequence[Encoded]) -> np.ndarray:
    """(NUM_ROUNDS, number of them)."""
    return np.array([[seconds_of(compute, images) for compute in computed] for _ in range(NUM_ROUNDS)])


def seconds_of(compute: Compute, images: Sequence[Encoded]) -> float:
    started = time.perf_counter()
    deque(compute(images), 0)
    return time.perf_counter() - started


def model_figures(params: Mapping[str, Any], images: Sequence[Encoded]) -> Iterator[Figure]:
    """Of each row of the results: how near it is to torch in fp32, how fast beside extract, how large."""
    extracts = extractions(params)
    samples = load_samples(Path("data/curate"))
    trained = trained_models(params, samples.class_names, Path("data"))
    some = [images[row] for row in samples.test.rows]
    with tempfile.TemporaryDirectory(prefix="tandem-predict-") as folder:
        path = Path(folder) / "model.onnx"
        for name in trained.names:
            parity = export_model(
                name,
                trained,
                samples,
                path,
                evaluate=section(params, "evaluate", EvaluateSettings),
                ood=section(params, "ood", OodSettings),
                provenance=provenance_of(params, Path("data")),
            ).parity
            model, fast = (load_exported(path, is_fast=is_fast) for is_fast in (False, True))
            parts = {node.output[0].partition("/")[0] for node in onnx.load(path).graph.node}
            read = [each for backbone, each in extracts.items() if backbone in parts]
            compared: list[Compute] = [partial(predictions, model), partial(predictions, fast), *read]
            seconds = seconds_by_turns(compared, images)
            exact_s, fast_s, extract_s = seconds[:, 0], seconds[:, 1], seconds[:, 2:].sum(axis=1)
            fast_probs = np.stack([each.probs for each in predictions(fast, some) if each.probs is not None])
            yield at_most(f"{name}: largest difference of a prob to fp32", MAX_DIFFERENCE, parity.fp32.largest, ".1e")
            yield reported(f"{name}: largest difference of a prob to what was scored", parity.scored.largest)
            changed = parity.scored.changed_classes
            yield reported(f"{name}: test images with another class than was scored", changed, ".0f")
            yield reported(f"{name}: predict from files, images/s", len(images) / float(np.median(exact_s)), ".0f")
            yield reported(
                f"{name}: predict --fast from files, images/s", len(images) / float(np.median(fast_s)), ".0f"
            )
            yield reported(
                f"{name}: extract for its backbones, images/s", len(images) / float(np.median(extract_s)), ".0f"
            )
            yield at_least(
                f"{name}: predict --fast, of the speed of extract",
                MIN_SPEED,
                float(np.median(extract_s / fast_s)),
                ".2f",
            )
            yield reported(
                f"{name}: largest difference of a prob by --fast to fp32",
                float(np.abs(fast_probs - parity.probs).max()),
            )
            yield reported(f"{name}: size of the file, MB", path.stat().st_size / 1e6, ".1f")


def predictions(model: ExportedModel, images: Sequence[Encoded]) -> Iterator[FilePrediction]:
    """As `tandem predict` makes them of many files."""
    return predict_files(images, model, batch_size=BATCH_SIZE, workers=WORKERS, scale=fastest_scale())


def family_figure(name: str) -> Figure:
    """The largest difference of a feature between the graph of a network and torch."""
    backbone = load_backbone(name, BackboneSettings(RANDOM), seed=0, size_px=SIZE_PX, early_exit=False)
    pixels = [np.random.default_rng(0).integers(0, 256, (4, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)]
    [features] = onnx_engine(to_onnx(backbone, size_px=SIZE_PX), threads=0, batch_size=4).embed(pixels)
    [reference] = reference_engine(backbone.net, select_device("cpu"), batch_size=4).embed(pixels)
    difference = largest_difference(features, reference)
    return at_most(f"{name}: largest difference of a feature to fp32", MAX_FEATURE_DIFFERENCE, difference, ".1e")


if __name__ == "__main__":
    main()
