"""Features from JPEG files: how fast, beside OpenVINO on ready tensors and a plain torch loop, and whether they agree.

    python benchmarks/features.py --archives DIR [--json FILE]

DIR is as for benchmarks/scratch.py. The photographs are merged and curated once in a scratch clone with the engine
`auto` and once with `reference`; ResNet-50 has random weights, for its speed the whole network; in the stage, and so
for the agreement, one of random weights ends early.

Speed, on 384 JPEG files at 224 px in batches of 16, ours and the baselines by turns and the median of the rounds'
ratios taken: ours is the stage's own path from files to features. OpenVINO is its throughput on tensors that are there
already, rounded as it does by itself, at the batch of four that our engine computes at once and at the stage's
sixteen. Torch is the usual loop: Pillow, torchvision's transforms, a DataLoader with two processes, an eager network in
fp32.

Waiting, of a fine-tune of each backbone by the settings of benchmarks/finetuning.py (96 px, the last layer or all
five): the fraction of its time in which it had no batch to compute on.

Prints required beside reached and exits 1 when a figure falls short. About ten minutes on two idle cores.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch

from extraction import BACKBONE, weights_of
from figures import Figure, at_least, conclude, exactly, make_parser, reported
from finetuning import (
    NUM_LAYERS,
    cache_images,
    first_images,
    load_whole_backbone,
    start_training,
    waited_figure,
)
from scoring import head_scores
from scratch import (
    SCENES,
    VEHICLES,
    WEIGHTS,
    change_params,
    images_of,
    make_clone,
    read_params,
    repro,
    require_files,
)
from tandem.curation.settings import SplitFractions
from tandem.features.engines.engine import MIN_COSINE, start_engine
from tandem.features.extract import extract
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.files import read_csv
from tandem.finetune.loop import fit_images
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import reassign_splits
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples
from tandem.training.settings import TrainSettings
from tandem.types import Encoded
from throughput import images_per_second, num_images, openvino_runner, run_torch

SETTINGS = ExtractSettings(size_px=224, resize="squash", interpolation="bilinear", tta_views=1, engine="auto", seed=0)
SIZE_PX = SETTINGS.size_px
BATCH_SIZE, WORKERS = 16, 2
NUM_TIMED = 384
NUM_TORCH = 96  # images of a round of the slow baseline
NUM_TUNED = 128  # images of a fine-tune
NUM_ROUNDS = 5
SEEDS = range(20)  # of the split; with few test images one split says little
MAX_ACCURACY_DIFFERENCE = 0.005
# Least fraction of OpenVINO's own throughput, and least multiple of the torch loop's.
REQUIRED = {"resnet50": (0.90, 8), "mobilenet_v2": (0.80, 5)}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values(), *SCENES.values())
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-features-") as work:
        vehicles, scenes = Path(work) / "vehicles", Path(work) / "scenes"
        make_clone(vehicles, "vehicles", archives, VEHICLES)
        make_clone(scenes, "scenes", archives, SCENES)
        for clone in (vehicles, scenes):
            figures += agreement(clone)
        files = load_index(vehicles / "data/merge/index.csv").files
        jpegs = [image for image, file in zip(images_of(vehicles), files, strict=True) if file.endswith(".jpg")]
        for name in REQUIRED:
            weights = weights_of(archives / WEIGHTS) if name == BACKBONE else BackboneSettings(RANDOM)
            figures += speed(name, weights, jpegs[:NUM_TIMED])
            figures += waiting(name, jpegs[:NUM_TUNED], Path(work) / f"{name}.npy")
    conclude(figures, arguments)


def speed(name: str, weights: BackboneSettings, images: Sequence[Encoded]) -> list[Figure]:
    """Images a second by each way, and the medians of ours over theirs."""
    backbone = load_whole_backbone(name, weights)
    engine = start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=BATCH_SIZE, device="cpu")
    ways: dict[str, Callable[[], int]] = {
        "ours": lambda: num_images(
            extract(images, engine=engine, settings=SETTINGS, batch_size=BATCH_SIZE, workers=WORKERS, name=name)
        ),
        "torch": lambda: run_torch(name, images[:NUM_TORCH], size_px=SIZE_PX, batch_size=BATCH_SIZE),
    }
    for batch_size in (4, BATCH_SIZE):
        ways[f"OpenVINO, batch {batch_size}"] = openvino_runner(
            backbone.net, size_px=SIZE_PX, batch_size=batch_size, num_images=NUM_TIMED
        )
    rounds = [{way: images_per_second(run) for way, run in ways.items()} for _ in range(NUM_ROUNDS)]
    figures = [reported(f"{name}: {way}, images/s", max(each[way] for each in rounds), ".0f") for way in ways]
    fraction, times = REQUIRED[name]
    for way, least in ((f"OpenVINO, batch {BATCH_SIZE}", fraction), ("OpenVINO, batch 4", fraction), ("torch", times)):
        ratio = median(each["ours"] / each[way] for each in rounds)
        figures.append(at_least(f"{name}: ours over {way}", least, ratio, ".2f"))
    return figures


def waiting(name: str, images: Sequence[Encoded], cache: Path) -> list[Figure]:
    """Of a fine-tune that frozen layers make short, and of one of all layers."""
    backbone = load_whole_backbone(name, BackboneSettings(RANDOM))
    train, figures = cache_images(images, cache, batch_size=BATCH_SIZE, workers=WORKERS), []
    for num_layers in NUM_LAYERS:
        waited = fit_images(
            start_training(backbone, num_layers),
            train=train,
            val=first_images(train, BATCH_SIZE),
            device=torch.device("cpu"),
            checkpoint_dir=None,
            name=name,
        )
        figures.append(waited_figure(f"{name}: fine-tuning, {num_layers} layers", waited.wait_s / waited.total_s))
    return figures


def agreement(clone: Path) -> list[Figure]:
    """The fastest engine's features, their accuracy and near duplicates beside fp32's, on all images of the clone."""
    results = {engine: curate_with(clone, engine) for engine in ("auto", "reference")}
    (fast, fast_pairs), (exact, exact_pairs) = results["auto"], results["reference"]
    figures = []
    for name in fast:
        cosine = float(cosines(fast[name], exact[name]).min())
        accuracies = [mean_accuracy(clone, features[name]) for features in (fast, exact)]
        what = f"{clone.name}: {name}"
        figures += [
            at_least(f"{what}, lowest cosine of {len(fast[name])} to fp32", MIN_COSINE, cosine, ".4f"),
            reported(f"{what}, top-1 accuracy, {len(SEEDS)} splits", accuracies[0]),
            reported(f"{what}, top-1 accuracy, {len(SEEDS)} splits, by fp32", accuracies[1]),
            difference_figure(f"{what}, their difference", accuracies[0] - accuracies[1]),
        ]
    what = f"{clone.name}: near-duplicate pairs that one engine alone finds, of {len(exact_pairs)}"
    return [*figures, exactly(what, 0, len(fast_pairs ^ exact_pairs))]


def difference_figure(what: str, difference: float) -> Figure:
    limit = MAX_ACCURACY_DIFFERENCE
    return Figure(what, f"+-{limit}", f"{difference:+.4f}", difference, abs(difference) <= limit)


def curate_with(clone: Path, engine: str) -> tuple[Mapping[str, np.ndarray], set[tuple[str, str]]]:
    """Backbone -> features (N, D), and the pairs of near duplicates."""
    change_params(clone, lambda values: values["extract"].update(engine=engine))
    repro(clone, "extract", "curate")
    ids = load_index(clone / "data/merge/index.csv").ids
    features = {
        name: np.array(load_features(clone / "data/extract" / name, ids=ids).without_tta)
        for name in read_params(clone)["backbones"]
    }
    pairs = read_csv(clone / "data/curate/near_duplicates.csv")
    return features, {(pair["first"], pair["second"]) for pair in pairs}


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def mean_accuracy(clone: Path, features: np.ndarray) -> float:
    """Top-1 on test, of the preset's head; the mean over seeds of the split."""
    params, samples = read_params(clone), load_samples(clone / "data/curate")
    settings = section(params, "train", TrainSettings)
    fractions = section(params, "curate.fractions", SplitFractions).by_split()
    accuracies = []
    for seed in SEEDS:
        own = reassign_splits(samples, fractions=fractions, seed=seed)
        accuracies.append(head_scores(features, own, settings)["top1_accuracy"])
    return mean(accuracies)


if __name__ == "__main__":
    main()
