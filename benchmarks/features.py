"""Features from JPEG files: how fast, beside OpenVINO on ready tensors and a plain torch loop, and whether they agree.

    python benchmarks/features.py --archives DIR [--json FILE]

DIR holds the vehicles and scenes archives and weights/mobilenet_v2-imagenet.pth, as for benchmarks/real_photos.py.
The photographs are merged and curated once in a scratch clone with the engine `auto` and once with `reference`;
ResNet-50 has random weights, for its speed the whole network; in the stage, and so for the agreement, one of random
weights ends early.

Speed, on 384 JPEG files at 224 px in batches of 16, the peers by turns and the median of the rounds' ratios taken:
ours is the stage's own path from files to rows. OpenVINO is its throughput on tensors that are there already, rounded
as it does by itself, at the batch of four that our engine computes at once and at the stage's sixteen. Torch is the
usual loop: Pillow, torchvision's transforms, a DataLoader with two processes, an eager network in fp32.

Waiting, of a fine-tune of each backbone by the settings of benchmarks/gpu.py (96 px, the last layer or all five): the
share of its time in which it had no batch to compute on.

Prints required beside reached and exits 1 when a figure falls short. About ten minutes on two idle cores.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

import gpu
import real_photos
from figures import Figure, conclude
from tandem.features import extract as extraction
from tandem.features.backbones import backbone as backbones
from tandem.features.engines import engine as engines
from tandem.files import read_csv, sha256
from tandem.finetune.loop import ImageSet, fit_images
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import Samples, load_samples
from tandem.tables.splits import assign_split
from tandem.training import heads

SIZE_PX = 224
BATCH_SIZE = 16
NUM_TIMED = 384
NUM_TORCH = 96  # images of a round of the slow peer
NUM_TUNED = 128  # images of a fine-tune
MOST_WAITED = 0.05
ROUNDS = 5
SEEDS = range(20)  # of the split; with few test images one split says little
MIN_COSINE = 0.99
POINTS = 0.005  # of accuracy
# Least share of OpenVINO's own throughput, and least multiple of the torch loop's.
REQUIRED = {"resnet50": (0.90, 8), "mobilenet_v2": (0.80, 5)}


class Photographs(Dataset[torch.Tensor]):
    """As tutorials load them."""

    prepare = transforms.Compose(
        [
            transforms.Resize((SIZE_PX, SIZE_PX)),
            transforms.ToTensor(),
            transforms.Normalize(backbones.IMAGENET_MEAN, backbones.IMAGENET_STD),
        ]
    )

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.prepare(Image.open(self.paths[number]).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    archives = real_photos.whole(
        arguments.archives, real_photos.WEIGHTS, *real_photos.VEHICLES.values(), *real_photos.SCENES.values()
    )
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-features-") as work:
        vehicles, scenes = Path(work) / "vehicles", Path(work) / "scenes"
        real_photos.prepare(vehicles, "vehicles", archives, real_photos.VEHICLES)
        real_photos.prepare(scenes, "scenes", archives, real_photos.SCENES)
        for clone in (vehicles, scenes):
            figures += agreement(clone)
        index = load_index(vehicles / "data/merge/index.csv")
        jpegs = [vehicles / "data/merge/images" / one.file for one in index.records if one.file.endswith(".jpg")]
        for name in REQUIRED:
            figures += speed(name, archives / real_photos.WEIGHTS, jpegs[:NUM_TIMED])
            figures += waiting(name, jpegs[:NUM_TUNED], Path(work) / f"{name}.npy")
    conclude(figures, arguments.json)


def speed(name: str, weights: Path, paths: list[Path]) -> list[Figure]:
    """Images a second by each way, and the medians of ours over theirs."""
    known = (str(weights), sha256(weights)) if name == "mobilenet_v2" else ("random", None)
    # the whole network, as with weights that were learnt; the stage ends one of random weights early
    backbone = backbones.load_backbone(
        name, weights=known[0], sha256=known[1], seed=0, size_px=SIZE_PX, early_exit=False
    )
    engine = engines.start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=BATCH_SIZE, device="cpu")
    ways: dict[str, Callable[[], int]] = {
        "ours": lambda: count(
            extraction.extract(
                paths, engine=engine, size_px=SIZE_PX, resize="squash", batch_size=BATCH_SIZE, workers=2, name=name
            )
        ),
        "torch": lambda: loop(name, paths[:NUM_TORCH]),
    }
    for batch_size in (4, BATCH_SIZE):
        ways[f"OpenVINO, batch {batch_size}"] = throughput(backbone.net, batch_size)
    rounds = [{way: rate(run) for way, run in ways.items()} for _ in range(ROUNDS)]
    figures = [
        Figure(f"{name}: {way}, images/s", None, f"{best:.0f}", best, True)
        for way in ways
        for best in [max(found[way] for found in rounds)]
    ]
    share, times = REQUIRED[name]
    for way, least in ((f"OpenVINO, batch {BATCH_SIZE}", share), ("OpenVINO, batch 4", share), ("torch", times)):
        ratio = median(found["ours"] / found[way] for found in rounds)
        figures.append(Figure(f"{name}: ours over {way}", f">= {least}", f"{ratio:.2f}", ratio, ratio >= least))
    return figures


def waiting(name: str, paths: list[Path], cache: Path) -> list[Figure]:
    """Of a fine-tune that frozen layers make short, and of one of all layers."""
    backbone, train, figures = gpu.loaded(name, None), gpu.cached(paths, cache), []
    val = ImageSet(train.pixels[:BATCH_SIZE], train.targets[:BATCH_SIZE])
    for num_layers in gpu.LAYERS:
        training = gpu.begun(backbone, num_layers)
        waited = fit_images(training, train=train, val=val, device=torch.device("cpu"), scratch=None, name=name)
        share = waited.wait_seconds / waited.total_s
        what = f"{name}: fine-tuning, {num_layers} layers: share of time waited"
        figures.append(Figure(what, f"< {MOST_WAITED}", f"{share:.4f}", share, share < MOST_WAITED))
    return figures


def rate(run: Callable[[], int]) -> float:
    started = time.perf_counter()
    return run() / (time.perf_counter() - started)


def count(batches: Iterable[np.ndarray]) -> int:
    return sum(len(batch) for batch in batches)


def throughput(net: nn.Module, batch_size: int) -> Callable[[], int]:
    """OpenVINO as it comes, for throughput, on random images in memory; as many requests at once as it asks for."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report each import
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(net, example_input=torch.zeros(1, SIZE_PX, SIZE_PX, 3, dtype=torch.uint8))
    model.reshape([batch_size, SIZE_PX, SIZE_PX, 3])
    queue = openvino.AsyncInferQueue(openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}))
    pixels = np.random.default_rng(0).integers(256, size=(batch_size, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)

    def run() -> int:
        for _ in range(NUM_TIMED // batch_size):
            queue.start_async([pixels], share_inputs=True)
        queue.wait_all()
        return NUM_TIMED // batch_size * batch_size

    run()  # the first pass allocates
    return run


def loop(name: str, paths: list[Path]) -> int:
    net = getattr(models, name)(weights=None).eval()
    with torch.inference_mode():
        return sum(len(net(batch)) for batch in DataLoader(Photographs(paths), BATCH_SIZE, num_workers=2))


def agreement(clone: Path) -> list[Figure]:
    """The fastest engine's rows, probes and near duplicates beside those of fp32, on all images of the clone."""
    found = {engine: curated(clone, engine) for engine in ("auto", "reference")}
    (rows, pairs), (exact, exact_pairs) = found["auto"], found["reference"]
    figures = []
    for name in rows:
        cosine = float(cosines(rows[name], exact[name]).min())
        what = f"{clone.name}: {name}, lowest cosine of {len(rows[name])} to fp32"
        figures.append(Figure(what, f">= {MIN_COSINE}", f"{cosine:.4f}", cosine, cosine >= MIN_COSINE))
        fast, slow = (accuracy(clone, x[name]) for x in (rows, exact))
        what = f"{clone.name}: {name}, probe's accuracy against fp32's, {len(SEEDS)} seeds"
        difference = fast - slow
        is_reached = abs(difference) <= POINTS
        figures.append(Figure(what, f"+-{POINTS}", f"{fast:.3f} / {slow:.3f}", difference, is_reached))
    differing = len(pairs ^ exact_pairs)
    what = f"{clone.name}: pairs of copies that one engine alone finds, of {len(exact_pairs)}"
    return [*figures, Figure(what, "0", f"{differing}", differing, differing == 0)]


def curated(clone: Path, engine: str) -> tuple[Mapping[str, np.ndarray], set[tuple[str, str]]]:
    """Backbone -> rows, and the pairs of near duplicates."""
    real_photos.change(clone, lambda values: values["extract"].update(engine=engine))
    real_photos.repro(clone, "extract", "curate")
    ids = load_index(clone / "data/merge/index.csv").ids
    rows = {
        name: np.array(load_features(clone / "data/extract" / name, ids=ids).x)
        for name in real_photos.read_params(clone)["backbones"]
    }
    return rows, {(row["first"], row["second"]) for row in read_csv(clone / "data/curate/pairs.csv")}


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def accuracy(clone: Path, x: np.ndarray) -> float:
    """On test, of the preset's head; the mean over seeds of the split."""
    values, samples = real_photos.read_params(clone), load_samples(clone / "data/curate")
    settings = heads.TrainSettings.from_params(values["train"])
    reached = []
    for seed in SEEDS:
        drawn = tuple(
            replace(one, split=assign_split(one.group, fractions=values["curate"]["fractions"], seed=seed))
            if one.split
            else one
            for one in samples.samples
        )
        own = Samples.of(samples.class_names, drawn)
        predicted = heads.train_head(x, own, settings=settings, name="probe").logits[own.test.rows].argmax(axis=1)
        reached.append(float((predicted == own.test.targets).mean()))
    return mean(reached)


if __name__ == "__main__":
    main()
