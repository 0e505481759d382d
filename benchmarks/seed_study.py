"""The study of learning rate and batch size from cold: ours beside the recipe that this project began from.

    python benchmarks/seed_study.py --archives DIR [--json FILE]

DIR is as for benchmarks/scratch.py. Ours: in a scratch clone with curated photographs, the stages extract (both
backbones) and study, each as a process of its own, imports and all; once with one training a pair of lr and batch size,
as the recipe has it, and once with the preset's three.

The recipe trains an ensemble of a frozen ResNet-50 and MobileNetV2 (1024 features of each, then layers of 1024 and 512)
on every image in every epoch, for each of 4 pairs. That would take hours, so it is multiplied out: the training step
(fp32, eager, 224 px, batches of 8) is measured on 128 images that are in memory already, in seconds of a core, as if
all cores shared them without loss, and taken times the train images, 15 epochs and 4 pairs. Its passes for
accuracy, its reading of files and the dearer batches of 4 are left out. All this favours the recipe.

The floors of ours are of the same run: the images through both networks at the rate of the stage's engine on pixels
that are in memory, divided over the cores; and for one more pair of lr and batch size (of six pairs beyond four,
features there already) the train images' features read once an epoch. What bounds a pair stands below it: Adam's steps
on the feature ensemble, which rewrite its weights, moments and average for each batch of 4 or 8 images.

Prints required beside reached and exits 1 when a figure falls short. About five minutes on two idle cores.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional
from torchvision import models

from extraction import BACKBONE, weights_of
from figures import Figure, at_least, at_most, conclude, make_parser, reported
from finetuning import load_whole_backbone
from growth import Cost, stage_cost
from scratch import VEHICLES, WEIGHTS, change_params, make_clone, repro, require_files
from tandem.features.engines.engine import start_engine
from tandem.features.settings import RANDOM, BackboneSettings
from tandem.files import sha256
from tandem.seeding import single_threaded
from tandem.tables.samples import load_samples
from tandem.tables.stored import load_stored
from tandem.training.fusion.flat_adam import FlatAdam
from tandem.training.fusion.layers import FusionShape

PAIRS, EPOCHS = 4, 15
BATCH_SIZE, SIZE_PX, NUM_IMAGES = 8, 224, 128
MIN_TIMES = 1_000
GRID, MORE = [0.01, 0.001], [0.01, 0.001, 0.003]  # learning rates, at the batch sizes of BATCH_SIZES each
BATCH_SIZES = (4, 8)
DIMS, WIDTH = {"resnet50": 2048, "mobilenet_v2": 1280}, 256  # of features; of the preset's feature ensemble
MAX_COLD, MAX_WARM_PAIR = 2.0, 4
NUM_ROUNDS, NUM_STEPS = 3, 200


class Ensemble(nn.Module):
    """The recipe's feature ensemble. Its backbones take no gradient, but run as in training."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.resnet, self.mobilenet = models.resnet50(weights=None), models.mobilenet_v2(weights=None)
        self.requires_grad_(False)
        self.resnet.fc = nn.Linear(self.resnet.fc.in_features, 1024)
        self.mobilenet.classifier[1] = nn.Linear(self.mobilenet.last_channel, 1024)
        widths = (2048, 1024, 512)
        hidden = [self._layer(wide, narrow) for wide, narrow in pairwise(widths)]
        self.head = nn.Sequential(*hidden, nn.LayerNorm(512), nn.Dropout(0.5), nn.Linear(512, num_classes))

    def _layer(self, wide: int, narrow: int) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(wide), nn.Dropout(0.5), nn.Linear(wide, narrow), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.resnet(x), self.mobilenet(x)], dim=1))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-study-") as work:
        clone = Path(work) / "vehicles"
        make_clone(clone, "vehicles", archives, VEHICLES)
        weights = {"weights": str(Path(work) / "resnet50.pth")}  # from a file: as whole a network as a learnt one
        torch.save(models.resnet50(weights=None).state_dict(), weights["weights"])
        weights["sha256"] = sha256(Path(weights["weights"]))
        change_params(clone, lambda values: values["extract"].update(size_px=SIZE_PX))
        change_params(clone, lambda values: values["backbones"].update(resnet50=weights))
        repro(clone, "curate", "finetune")
        extract_s = sum(stage_cost(clone, "extract", name).seconds for name in DIMS)
        study_s = {num_seeds: study_cost(clone, num_seeds).seconds for num_seeds in (1, 3)}
        pair_s = more_pairs_seconds(clone)
        samples = load_samples(clone / "data/curate")
        num_images = len(load_stored(clone / "data/merge/stored.csv"))
    step_s = image_cost(len(samples.class_names))
    floor_s = num_images * networks_seconds(weights_of(archives / WEIGHTS)) / (os.cpu_count() or 1)
    recipe_s = step_s * len(samples.train) * EPOCHS * PAIRS
    figures = [
        reported("recipe: a training step, ms an image", 1000 * step_s, ".1f"),
        reported(f"recipe: x {len(samples.train)} x {EPOCHS} x {PAIRS}, s", recipe_s, ".0f"),
        reported("ours: features of both backbones, s", extract_s, ".1f"),
    ]
    for num_seeds, seconds in study_s.items():
        figures += study_figures(num_seeds, seconds, times=recipe_s * num_seeds / (extract_s + seconds))
    figures += [
        reported(f"floor: {num_images} images through both networks, s", floor_s, ".1f"),
        at_most(
            "ours: features and study, 1 training a pair, over the floor", MAX_COLD, (extract_s + study_s[1]) / floor_s
        ),
        *pair_figures(pair_s, num_train=len(samples.train), num_classes=len(samples.class_names)),
    ]
    conclude(figures, arguments)


def study_figures(num_seeds: int, seconds: float, *, times: float) -> list[Figure]:
    what = f"ours: the study, {num_seeds} training{'s' if num_seeds > 1 else ''} a pair"
    return [
        reported(f"{what}, s", seconds, ".1f"),
        at_least(f"{what}: times faster", MIN_TIMES, times, ".0f"),
    ]


def pair_figures(pair_s: float, *, num_train: int, num_classes: int) -> list[Figure]:
    """Of one more pair. pair_s: of a core."""
    floor_s = EPOCHS * reading_seconds((num_train, sum(DIMS.values())))
    adam_s = (
        EPOCHS * num_train * np.mean([adam_seconds(num_train, num_classes) / batch_size for batch_size in BATCH_SIZES])
    )
    return [
        reported("floor: the features of the train images read once an epoch, core-ms", 1000 * floor_s, ".1f"),
        reported("ours: one more pair, core-s", pair_s, ".2f"),
        at_most("ours: one more pair, over the floor", MAX_WARM_PAIR, pair_s / floor_s, ".0f"),
        reported("Adam's steps on the feature ensemble alone, all epochs, core-s", float(adam_s), ".2f"),
    ]


def study_cost(clone: Path, num_seeds: int, learning_rates: Sequence[float] = GRID) -> Cost:
    """Of the stage, with so many trainings a pair."""
    grid = {"num_seeds": num_seeds, "lr": list(learning_rates), "batch_size": list(BATCH_SIZES)}
    change_params(clone, lambda values: values["study"].update(grid))
    return stage_cost(clone, "study")


def more_pairs_seconds(clone: Path) -> float:
    """Of a core, for each pair of a larger grid beyond those of the usual one; the least of each is taken."""
    usual, larger = (min(study_cost(clone, 1, rates).core_seconds for _ in range(NUM_ROUNDS)) for rates in (GRID, MORE))
    return (larger - usual) / (len(BATCH_SIZES) * (len(MORE) - len(GRID)))


def networks_seconds(mobilenet: BackboneSettings) -> float:
    """Of a core for an image that is in memory already, by both networks: the least of a few rounds each."""
    pixels = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, SIZE_PX, SIZE_PX, 3), np.uint8)
    total = 0.0
    for name in DIMS:
        backbone = load_whole_backbone(name, mobilenet if name == BACKBONE else BackboneSettings(RANDOM))
        engine = start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=16, device="cpu")
        rounds = []
        for _ in range(NUM_ROUNDS + 1):  # the first allocates
            started = time.process_time()
            list(engine.embed(np.split(pixels, NUM_IMAGES // 16)))
            rounds.append(time.process_time() - started)
        total += min(rounds[1:]) / NUM_IMAGES
    return total


def reading_seconds(shape: tuple[int, int]) -> float:
    """Of a core that reads a float32 array of this shape, to multiply it by a vector: the mean of many times."""
    array, vector = np.ones(shape, np.float32), np.ones(shape[1], np.float32)
    with threadpool_limits(limits=1):  # a second thread that waits takes a core's time too
        started = time.process_time()
        for _ in range(NUM_STEPS):
            array @ vector
        return (time.process_time() - started) / NUM_STEPS


def adam_seconds(num_train: int, num_classes: int) -> float:
    """Of a core, for a step of the study's Adam on the feature ensemble's weights, gradients there already."""
    shape = FusionShape(tuple(min(dim, num_train - 1) for dim in DIMS.values()), WIDTH, num_classes)
    optimizer = FlatAdam(np.ones((1, shape.num_weights), np.float32), weight_decay=0.0)
    started = time.process_time()
    for _ in range(NUM_STEPS):
        optimizer.gradients[:] = 1
        optimizer.step([0.001])
    return (time.process_time() - started) / NUM_STEPS


def image_cost(num_classes: int) -> float:
    """Seconds of a training step over its images, were it spread over all cores without loss."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM_IMAGES, 3, SIZE_PX, SIZE_PX, generator=generator)
    targets = torch.randint(num_classes, (NUM_IMAGES,), generator=generator)
    net = Ensemble(num_classes).train()
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.001)
    with single_threaded():
        started = time.process_time()
        for batch, target in zip(x.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True):
            optimizer.zero_grad()
            functional.cross_entropy(net(batch), target).backward()
            optimizer.step()
    return (time.process_time() - started) / NUM_IMAGES / (os.cpu_count() or 1)


if __name__ == "__main__":
    main()
