"""The batches of one epoch of a fine-tune: which images, how they are varied and mixed.

All that is random in an epoch comes from (seed, epoch) alone.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from tandem.finetune.augment import augment, mix
from tandem.finetune.prefetch import to_device
from tandem.finetune.settings import FinetuneSettings
from tandem.training.fitting.network_fit import batches
from tandem.training.settings import Balance


class ImageSet(NamedTuple):
    """pixels: (n, side, side, 3) uint8, may be a memory map. targets: (n,) int64 class indices."""

    pixels: np.ndarray
    targets: torch.Tensor


def epoch_seed(settings: FinetuneSettings, epoch: int) -> int:
    """The seed of what one epoch draws from torch's generators."""
    return int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1)[0])


def sample_epoch(
    targets: torch.Tensor, settings: FinetuneSettings, *, balance: Balance, epoch: int
) -> list[torch.Tensor]:
    """The row numbers of each batch, without a smaller last one if there are others: BatchNorm needs two images."""
    generator = torch.Generator().manual_seed(epoch_seed(settings, epoch))
    sampled = list(batches(targets, balance=balance, batch_size=settings.batch_size, generator=generator))
    return [batch for batch in sampled if len(batch) == settings.batch_size] or sampled


def augmented_batches(
    train: ImageSet, sampled: list[torch.Tensor], settings: FinetuneSettings, *, epoch: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pixels (n, size_px, size_px, 3) float32 in 0..255 and soft targets (n, C) of each batch, on the device."""
    rng, num_classes = np.random.default_rng([settings.seed, epoch]), int(train.targets.max()) + 1
    for rows in sampled:
        pixels = to_device(train.pixels[rows.numpy()], device)
        targets = functional.one_hot(train.targets[rows], num_classes).float().to(device, non_blocking=True)
        varied = augment(pixels, size_px=settings.size_px, settings=settings.augment, rng=rng)
        yield mix(varied, targets, kind=settings.mix, rng=rng)
