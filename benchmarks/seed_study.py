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

Prints required beside reached and exits 1 when a figure falls short. About four minutes on two idle cores.
"""

import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torchvision import models

from figures import Figure, at_least, conclude, make_parser, reported
from growth import stage_cost
from scratch import VEHICLES, WEIGHTS, change_params, make_clone, repro, require_files
from tandem.files import sha256
from tandem.seeding import single_threaded
from tandem.tables.samples import load_samples

PAIRS, EPOCHS = 4, 15
BATCH_SIZE, SIZE_PX, NUM_IMAGES = 8, 224, 128
MIN_TIMES = 1_000


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
        extract_s = sum(stage_cost(clone, "extract", name).seconds for name in ("resnet50", "mobilenet_v2"))
        study_s = {num_seeds: study_seconds(clone, num_seeds) for num_seeds in (1, 3)}
        samples = load_samples(clone / "data/curate")
    step_s = image_cost(len(samples.class_names))
    recipe_s = step_s * len(samples.train) * EPOCHS * PAIRS
    figures = [
        reported("recipe: a training step, ms an image", 1000 * step_s, ".1f"),
        reported(f"recipe: x {len(samples.train)} x {EPOCHS} x {PAIRS}, s", recipe_s, ".0f"),
        reported("ours: features of both backbones, s", extract_s, ".1f"),
    ]
    for num_seeds, seconds in study_s.items():
        figures += study_figures(num_seeds, seconds, times=recipe_s * num_seeds / (extract_s + seconds))
    conclude(figures, arguments)


def study_figures(num_seeds: int, seconds: float, *, times: float) -> list[Figure]:
    what = f"ours: the study, {num_seeds} training{'s' if num_seeds > 1 else ''} a pair"
    return [
        reported(f"{what}, s", seconds, ".1f"),
        at_least(f"{what}: times faster", MIN_TIMES, times, ".0f"),
    ]


def study_seconds(clone: Path, num_seeds: int) -> float:
    """Of the stage, with so many trainings a pair."""
    change_params(clone, lambda values: values["study"].update(num_seeds=num_seeds))
    return stage_cost(clone, "study").seconds


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
