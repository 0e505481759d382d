"""The recipe that this project began from, with its faults: what it claims, and what each fault does to the claim.

    python benchmarks/seed_recipe.py --archives DIR [--epochs 15] [--seeds 3] [--json FILE]

DIR holds the vehicles archives (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth. They are curated
once in a scratch clone, and MobileNetV2 with a new last layer is trained as the recipe has it (below), once a seed of
the split: with all faults, without one at a time, without any, and with each alone, since faults hide one another;
beside it the project's own head on the same split by group. A training serves every row that differs only in what is
scored. About fifteen minutes on two idle cores.

A claim is the recipe's accuracy on its own test set at the epoch that it chooses. The honest figure is that of the same
training on the split by group, tested on correctly prepared images at the epoch that is best on validation; of the
faults only a drifting backbone changes it, since the others bend the measurement and not the model.

Prints required beside reached and exits 1 when a figure falls short.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

import real_photos
from figures import Figure, conclude
from tandem.features.backbones import backbone as backbones
from tandem.files import sha256
from tandem.images.transforms import load_transformed
from tandem.seeding import single_threaded, seeded
from tandem.studies.repeated_splits import reassign_splits
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import SPLITS, Samples, load_samples
from tandem.training import heads

# The recipe.
SIZE_PX = 150
LR = 0.001
BATCH_SIZE = 8
PLATEAU_FACTOR = 0.2
PLATEAU_PATIENCE = 10
DROPOUT = 0.2  # before the last layer, as torchvision's MobileNetV2 has it
# Its faults.
RAW = "test images not normalised"
DRIFT = "frozen backbone in train mode"
BY_FILE = "each file drawn alone, copies and all"
ON_TEST = "epoch chosen on the test set"
FAULTS = (RAW, DRIFT, BY_FILE, ON_TEST)

POINTS = 100  # in an accuracy of 1
REQUIRED = 0.88  # of our own head, as benchmarks/real_photos.py has it
EVAL_BATCH_SIZE = 16  # more is slower on CPUs: the maps leave the cache

Curve = list[dict[tuple[str, bool], float]]  # an epoch each: (split, is normalised) -> top-1 accuracy


class Part(NamedTuple):
    """One split. rows: of the images, (n,) int64, a row twice where two files hold it. targets: (n,) int64."""

    rows: np.ndarray
    targets: np.ndarray


class Task(NamedTuple):
    """One training on a drifting backbone. pixels: (N, SIZE_PX, SIZE_PX, 3) uint8."""

    weights: Path
    pixels: np.ndarray
    parts: Mapping[str, Part]
    epochs: int
    seed: int


class Features(Protocol):
    """Rows of images to (n, D) float32, in a training step and in a test."""

    def in_training(self, rows: torch.Tensor) -> torch.Tensor: ...

    def in_test(self, rows: torch.Tensor, *, is_normalised: bool) -> torch.Tensor: ...


class Drifting:
    """A backbone whose weights are frozen but whose BatchNorm layers train: a step's batch makes its own statistics, and
    they move those that tests use."""

    def __init__(self, weights: Path, pixels: np.ndarray) -> None:
        digest = sha256(weights)
        net = backbones.load_backbone("mobilenet_v2", weights=str(weights), sha256=digest, seed=0, size_px=SIZE_PX).net
        net.set_submodule("classifier.classifier.0", nn.Identity())  # the dropout, which here belongs to the head
        self.net = net.get_submodule("classifier")
        self.pixels = torch.from_numpy(pixels)

    def in_training(self, rows: torch.Tensor) -> torch.Tensor:
        self.net.train()
        with torch.no_grad():  # not inference_mode: the head's gradients need these rows
            return self.net(_prepared(self.pixels[rows], is_normalised=True))

    def in_test(self, rows: torch.Tensor, *, is_normalised: bool) -> torch.Tensor:
        self.net.eval()
        with torch.inference_mode():
            parts = self.pixels[rows].split(EVAL_BATCH_SIZE)
            return torch.cat([self.net(_prepared(part, is_normalised=is_normalised)) for part in parts])


class Frozen:
    """The same backbone before it has drifted, for good: one pass over all images for each way to prepare them."""

    def __init__(self, backbone: Drifting) -> None:
        rows = torch.arange(len(backbone.pixels))
        self.x = {is_normalised: backbone.in_test(rows, is_normalised=is_normalised) for is_normalised in (True, False)}

    def in_training(self, rows: torch.Tensor) -> torch.Tensor:
        return self.in_test(rows, is_normalised=True)

    def in_test(self, rows: torch.Tensor, *, is_normalised: bool) -> torch.Tensor:
        return self.x[is_normalised][rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3, help="of the split: 0, 1, ...")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    archives = real_photos.whole(arguments.archives, real_photos.WEIGHTS, *real_photos.VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-recipe-") as work:
        clone = Path(work) / "vehicles"
        real_photos.prepare(clone, "vehicles", archives, real_photos.VEHICLES)
        real_photos.repro(clone, "curate")
        figures = compared(clone, archives / real_photos.WEIGHTS, epochs=arguments.epochs, seeds=range(arguments.seeds))
    conclude(figures, arguments.json)


def compared(clone: Path, weights: Path, *, epochs: int, seeds: Iterable[int]) -> list[Figure]:
    """The recipe's claims and our own figure on the curated images of the clone."""
    index, samples = load_index(clone / "data/merge/index.csv"), load_samples(clone / "data/curate")
    values = real_photos.read_params(clone)
    fractions, settings = values["curate"]["fractions"], heads.TrainSettings.from_params(values["train"])
    x = load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).x
    pixels = decoded([clone / "data/merge/images" / record.file for record in index.records])
    tasks: dict[tuple[int, bool], Task] = {}
    ours = []
    for seed in seeds:
        drawn = reassign_splits(samples, fractions=fractions, seed=seed)
        rows, files = real_photos.by_file(index, fractions, seed)
        parts = {
            True: parts_of(rows, Samples.of(samples.class_names, tuple(files))),
            False: parts_of(range(len(x)), drawn),
        }
        tasks |= {(seed, is_by_file): Task(weights, pixels, parts[is_by_file], epochs, seed) for is_by_file in parts}
        ours.append(our_accuracy(x, drawn, settings))
    return table(curves(tasks), ours)


def decoded(paths: Sequence[Path]) -> np.ndarray:
    """(N, SIZE_PX, SIZE_PX, 3) uint8, squashed. paths: images that the merge wrote."""
    return np.concatenate([load_transformed(path.read_bytes(), size_px=SIZE_PX, resize="squash") for path in paths])


def parts_of(rows: Sequence[int], samples: Samples) -> dict[str, Part]:
    """Split -> its images. rows: of the images, in the order of samples."""
    return {split: Part(np.asarray(rows)[samples.split(split).rows], samples.split(split).targets) for split in SPLITS}


def our_accuracy(x: np.ndarray, samples: Samples, settings: heads.TrainSettings) -> float:
    logits = heads.train_head(x, samples, settings=settings, name="ours").logits[samples.test.rows]
    return float((logits.argmax(axis=1) == samples.test.targets).mean())


def curves(tasks: Mapping[tuple[int, bool], Task]) -> dict[tuple[int, bool, bool], Curve]:
    """(seed, drifts, is split by file) -> the training's curve. Drifting ones run beside each other, one core each."""
    found = {}
    with ProcessPoolExecutor(min(len(tasks), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        waiting = {(seed, True, is_by_file): pool.submit(drift, task) for (seed, is_by_file), task in tasks.items()}
        first = next(iter(tasks.values()))
        with single_threaded():
            frozen = Frozen(Drifting(first.weights, first.pixels))
        for (seed, is_by_file), task in tasks.items():
            found[seed, False, is_by_file] = fit(frozen, task.parts, epochs=task.epochs, seed=task.seed)
        return found | {key: curve.result() for key, curve in waiting.items()}


def drift(task: Task) -> Curve:
    """The curve of a backbone that starts anew and drifts."""
    return fit(Drifting(task.weights, task.pixels), task.parts, epochs=task.epochs, seed=task.seed)


def fit(features: Features, parts: Mapping[str, Part], *, epochs: int, seed: int) -> Curve:
    """Train a new last layer as the recipe does, and score every epoch on val and test."""
    rows, targets = map(torch.from_numpy, parts["train"])
    counts = torch.bincount(targets)
    generator = torch.Generator().manual_seed(seed)
    curve = []
    with seeded(seed), single_threaded():
        dim = features.in_test(rows[:1], is_normalised=True).shape[1]
        head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(dim, len(counts)))
        optimizer = torch.optim.Adam(head.parameters(), lr=LR)
        scheduler = ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)
        for _ in range(epochs):
            head.train()
            losses = []
            order = torch.multinomial(1 / counts[targets], len(rows), replacement=True, generator=generator)
            for batch in order.split(BATCH_SIZE):
                loss = functional.cross_entropy(head(features.in_training(rows[batch])), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            scheduler.step(mean(losses))
            head.eval()
            curve.append(
                {
                    (split, is_normalised): _accuracy(head, features, parts[split], is_normalised=is_normalised)
                    for split in ("val", "test")
                    for is_normalised in (True, False)
                }
            )
    return curve


def table(found: Mapping[tuple[int, bool, bool], Curve], ours: Sequence[float]) -> list[Figure]:
    seeds = sorted({seed for seed, _, _ in found})

    def claims(*faults: str) -> list[float]:
        is_by_file, drifts = BY_FILE in faults, DRIFT in faults
        return [claim(found[seed, drifts, is_by_file], faults) for seed in seeds]

    full, clean = claims(*FAULTS), claims()
    figures = [_told("recipe, all faults: claimed top-1 accuracy", full)]
    for fault in FAULTS:
        without = claims(*(other for other in FAULTS if other != fault))
        figures.append(_told(f"without: {fault}", without))
        figures.append(_effect("  the fault's effect on the claim, points", full, without))
    figures.append(_told("recipe, no faults: claimed top-1 accuracy", clean))
    figures.append(_effect("  all faults' effect on the claim, points", full, clean))
    for fault in FAULTS:
        alone = claims(fault)
        figures.append(_told(f"alone: {fault}", alone))
        figures.append(_effect("  the fault's effect on the claim, points", alone, clean))
    figures.append(_told("honest: recipe on a drifting backbone", claims(DRIFT)))
    figures.append(_told("honest: recipe on a frozen backbone", clean))
    text = _ranged(ours, ".3f")
    return [*figures, Figure("honest: ours", f">= {REQUIRED}", text, mean(ours), mean(ours) >= REQUIRED)]


def claim(curve: Curve, faults: Sequence[str]) -> float:
    """Test accuracy at the chosen epoch, the first of several, with or without RAW and ON_TEST."""
    is_normalised, split = RAW not in faults, "test" if ON_TEST in faults else "val"
    return max(curve, key=lambda epoch: epoch[split, is_normalised])["test", is_normalised]


def _prepared(pixels: torch.Tensor, *, is_normalised: bool) -> torch.Tensor:
    x = pixels.permute(0, 3, 1, 2).float() / 255
    if not is_normalised:
        return x
    channels = [torch.tensor(values).view(1, 3, 1, 1) for values in (backbones.IMAGENET_MEAN, backbones.IMAGENET_STD)]
    return (x - channels[0]) / channels[1]


def _accuracy(head: nn.Module, features: Features, part: Part, *, is_normalised: bool) -> float:
    with torch.inference_mode():
        logits = head(features.in_test(torch.from_numpy(part.rows), is_normalised=is_normalised))
    return float((logits.argmax(1).numpy() == part.targets).mean())


def _told(what: str, values: Sequence[float]) -> Figure:
    return Figure(what, None, _ranged(values, ".3f"), mean(values), True)


def _effect(what: str, faulty: Sequence[float], without: Sequence[float]) -> Figure:
    """Mean and range over the seeds of what the claim with the fault has over the one without."""
    points = [POINTS * (one - other) for one, other in zip(faulty, without, strict=True)]
    return Figure(what, None, _ranged(points, "+.1f"), mean(points), True)


def _ranged(values: Sequence[float], form: str) -> str:
    return f"{mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    main()
