"""The batches of one epoch of a fine-tune: which images, how they are varied and mixed, and which process has them.

Which images are in a batch comes from (seed, epoch) alone, and how they are varied and mixed from these and the number
of the micro-batch: not from the number of processes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from tandem.finetune.augment import augment, mix
from tandem.finetune.job import num_micro_batches
from tandem.finetune.parallel.processes import ALONE, Processes
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
    train: ImageSet,
    sampled: list[torch.Tensor],
    settings: FinetuneSettings,
    *,
    epoch: int,
    device: torch.device,
    processes: Processes = ALONE,
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Of each batch this process's micro-batches, in turn: pixels (n, size_px, size_px, 3) float32 in 0..255, on the
    device, and soft targets (n, C). Images are mixed with others of their micro-batch.
    """
    num_classes = int(train.targets.max()) + 1
    for batch, rows in enumerate(sampled):
        parts = enumerate(rows.tensor_split(num_micro_batches(len(rows), settings.num_micro_batches)))
        made = list[torch.Tensor]()
        for number, part in processes.own(list(parts)):
            rng = np.random.default_rng([settings.seed, epoch, batch, number])
            pixels = to_device(train.pixels[part.numpy()], device)
            targets = functional.one_hot(train.targets[part], num_classes).float().to(device, non_blocking=True)
            varied = augment(pixels, size_px=settings.size_px, settings=settings.augment, rng=rng)
            made += mix(varied, targets, kind=settings.mix, rng=rng)
        yield tuple(made)
