"""The training of the recipe that benchmarks/seed_recipe.py examines: MobileNetV2 with a new last layer.

A training yields what all claims need: the accuracy on validation and test in each epoch, of images that are normalized
and of such that are not.
"""

import os
from collections.abc import Mapping
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

from extraction import BACKBONE, weights_of
from tandem.features.backbones.backbone import load_backbone
from tandem.features.backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD
from tandem.seeding import seeded, single_threaded

SIZE_PX = 150
LR = 0.001
BATCH_SIZE = 8
PLATEAU_FACTOR = 0.2
PLATEAU_PATIENCE = 10
DROPOUT = 0.2  # before the last layer, as torchvision's MobileNetV2 has it
EVAL_BATCH_SIZE = 16  # more is slower on CPUs: the maps leave the cache

Curve = list[dict[tuple[str, bool], float]]  # an epoch each: (split, is normalized) -> top-1 accuracy


class Part(NamedTuple):
    """One split. rows: of the images, (n,) int64, a row twice where two files hold it. targets: (n,) int64."""

    rows: np.ndarray
    targets: np.ndarray


class Task(NamedTuple):
    """One training. pixels: (N, SIZE_PX, SIZE_PX, 3) uint8. parts: split -> its images. seed: of the split."""

    weights: Path
    pixels: np.ndarray
    parts: Mapping[str, Part]
    epochs: int
    seed: int


class Features(Protocol):
    """Rows of images to features (n, D) float32, in a training step and in a test."""

    def in_training(self, rows: torch.Tensor) -> torch.Tensor: ...

    def in_test(self, rows: torch.Tensor, *, is_normalized: bool) -> torch.Tensor: ...


class Drifting:
    """A backbone whose weights are frozen, but not its BatchNorm layers: a step's batch makes its own statistics, and
    they move those that tests use.
    """

    def __init__(self, weights: Path, pixels: np.ndarray) -> None:
        net = load_backbone(BACKBONE, weights_of(weights), seed=0, size_px=SIZE_PX).net
        net.set_submodule("classifier.classifier.0", nn.Identity())  # the dropout, which here belongs to the head
        self.net = net.get_submodule("classifier")
        self.pixels = torch.from_numpy(pixels)

    def in_training(self, rows: torch.Tensor) -> torch.Tensor:
        self.net.train()
        with torch.no_grad():  # not inference_mode: the head's gradients need these features
            return self.net(prepare(self.pixels[rows], is_normalized=True))

    def in_test(self, rows: torch.Tensor, *, is_normalized: bool) -> torch.Tensor:
        self.net.eval()
        with torch.inference_mode():
            parts = self.pixels[rows].split(EVAL_BATCH_SIZE)
            return torch.cat([self.net(prepare(part, is_normalized=is_normalized)) for part in parts])


class Frozen:
    """The same backbone before it has drifted, for good: one pass over all images for each way to prepare them."""

    def __init__(self, backbone: Drifting) -> None:
        rows = torch.arange(len(backbone.pixels))
        self.features = {
            is_normalized: backbone.in_test(rows, is_normalized=is_normalized) for is_normalized in (True, False)
        }

    def in_training(self, rows: torch.Tensor) -> torch.Tensor:
        return self.in_test(rows, is_normalized=True)

    def in_test(self, rows: torch.Tensor, *, is_normalized: bool) -> torch.Tensor:
        return self.features[is_normalized][rows]


def prepare(pixels: torch.Tensor, *, is_normalized: bool) -> torch.Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W), in [0, 1] or normalized as the weights want it."""
    images = pixels.permute(0, 3, 1, 2).float() / 255
    if not is_normalized:
        return images
    channel_mean, channel_std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - channel_mean) / channel_std


def train_all(tasks: Mapping[tuple[int, bool], Task]) -> dict[tuple[int, bool, bool], Curve]:
    """(seed, drifts, is a random split) -> the training's curve. tasks: (seed, is a random split) -> task.

    Drifting ones run beside each other, one core each.
    """
    curves = {}
    with ProcessPoolExecutor(min(len(tasks), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        waiting = {(seed, True, is_random): pool.submit(drift, task) for (seed, is_random), task in tasks.items()}
        first = next(iter(tasks.values()))
        with single_threaded():
            frozen = Frozen(Drifting(first.weights, first.pixels))
        for (seed, is_random), task in tasks.items():
            curves[seed, False, is_random] = fit(frozen, task.parts, epochs=task.epochs, seed=task.seed)
        return curves | {key: curve.result() for key, curve in waiting.items()}


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
        dim = features.in_test(rows[:1], is_normalized=True).shape[1]
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
            curve.append(_score_epoch(head, features, parts))
    return curve


def _score_epoch(head: nn.Module, features: Features, parts: Mapping[str, Part]) -> dict[tuple[str, bool], float]:
    return {
        (split, is_normalized): _accuracy(head, features, parts[split], is_normalized=is_normalized)
        for split in ("val", "test")
        for is_normalized in (True, False)
    }


def _accuracy(head: nn.Module, features: Features, part: Part, *, is_normalized: bool) -> float:
    with torch.inference_mode():
        logits = head(features.in_test(torch.from_numpy(part.rows), is_normalized=is_normalized))
    return float((logits.argmax(1).numpy() == part.targets).mean())
