"""The fine-tune that features.py and gpu.py measure: its settings, its images, its start."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from figures import Figure
from tandem.features.backbones.backbone import Backbone, load_backbone
from tandem.features.settings import BackboneSettings
from tandem.finetune.batches import ImageSet
from tandem.finetune.layers import unfreeze
from tandem.finetune.settings import AugmentSettings, FinetuneSettings
from tandem.finetune.trainer import Trainer
from tandem.images.loader import cache_pixels, iter_batches
from tandem.seeding import seeded
from tandem.types import Encoded

SIZE_PX = 224  # that backbones are loaded for
NUM_CLASSES = 4
NUM_LAYERS = (5, 1)  # unfrozen: all, and the last one
MAX_WAITED = 0.05  # fraction of the time
SETTINGS = FinetuneSettings(
    lr=0.0003,
    layer_decay=0.7,
    batch_size=32,
    num_micro_batches=1,
    epochs=4,
    keep="last",
    patience=5,
    warmup_epochs=2,
    weight_decay=0.05,
    label_smoothing=0.1,
    ema_decay=0.99,
    clip_norm=1.0,
    wise_alpha=1.0,
    lp_ft=False,
    mix="none",
    augment=AugmentSettings(min_scale=0.35, flip=True, color_jitter=0.2, rand_augment_ops=0),
    size_px=96,
    precision="auto",
    seed=0,
)
CACHED_PX = round(SETTINGS.size_px * 8 / 7)


def load_whole_backbone(name: str, weights: BackboneSettings) -> Backbone:
    """The whole network, as one that is trained; of random weights the extract stage takes one that ends early."""
    return load_backbone(name, weights, seed=0, size_px=SIZE_PX, early_exit=False)


def cache_images(paths: Sequence[Encoded], path: Path, *, batch_size: int, workers: int) -> ImageSet:
    """The images as a fine-tune reads them, cached in the file `path`; classes by turns."""
    batches = iter_batches(
        paths, size_px=CACHED_PX, resize="squash", interpolation="bilinear", batch_size=batch_size, workers=workers
    )
    pixels = cache_pixels(path, batches, count=len(paths), size_px=CACHED_PX)
    return ImageSet(pixels, torch.arange(len(paths)) % NUM_CLASSES)


def first_images(images: ImageSet, count: int) -> ImageSet:
    return ImageSet(images.pixels[:count], images.targets[:count])


def start_training(backbone: Backbone, num_layers: int) -> Trainer:
    """A trainer of a copy of the backbone, so many of its layers unfrozen, and a new head."""
    net = copy.deepcopy(backbone.net).cpu()
    with seeded(SETTINGS.seed):
        head = nn.Linear(backbone.dim, NUM_CLASSES)
    return Trainer(net, head, unfreeze(net, num_layers, size_px=SIZE_PX), SETTINGS, balance="sampler")


def waited_figure(what: str, fraction: float) -> Figure:
    is_reached = fraction < MAX_WAITED
    return Figure(f"{what}: fraction of time waited", f"< {MAX_WAITED}", f"{fraction:.4f}", fraction, is_reached)
