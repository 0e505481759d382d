"""Fit the unfrozen layers of a backbone and its head to images by AdamW; the averaged weights of one epoch are kept.

Each epoch draws from (seed, epoch) alone, so one that goes on after a kill ends with the same bytes as an unbroken one.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from tandem.errors import DataError
from tandem.evaluation.calibration import fit_temperature
from tandem.features.cuda_graph import GraphedCallable
from tandem.features.device import computes_bfloat16
from tandem.finetune import checkpoints
from tandem.finetune.augment import augment, mix
from tandem.finetune.layers import interpolate_weights, set_train_mode, warmup_cosine
from tandem.finetune.prefetch import Prefetcher, to_device
from tandem.finetune.settings import FinetuneSettings
from tandem.finetune.trainer import Trainer
from tandem.seeding import deterministic_cudnn, seeded
from tandem.training.early_stopping import class_weights
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch
from tandem.training.network_fit import batches

_Step = Callable[..., tuple[torch.Tensor, ...]]  # pixels and targets to loss and share that was right


class ImageSet(NamedTuple):
    """pixels: (n, side, side, 3) uint8, may be a memory map. targets: (n,) int64 class indices."""

    pixels: np.ndarray
    targets: torch.Tensor


class LoaderWait(NamedTuple):
    """Seconds of a training: all of them, and those that it waited for batches."""

    total_s: float
    wait_seconds: float
    num_steps: int


def fit_images(
    training: Trainer,
    *,
    train: ImageSet,
    val: ImageSet,
    device: torch.device,
    scratch: Path | None,
    name: str,
    on_epoch: EpochLogger = ignore_epoch,
) -> LoaderWait:
    """Train to the last epoch or the end of patience, and leave the kept averaged weights in training.model.

    Epoch 0 is the start itself. scratch: where the state lies after each epoch, and is looked for; None is nowhere.
    on_epoch: called with each line of the curve as it comes, and first with those of a training that goes on.
    Raises DataError when the loss stops being finite.
    """
    settings, started, waited, num_steps = training.settings, time.perf_counter(), 0.0, 0
    training.to(device)
    if scratch and (state := checkpoints.load_checkpoint(scratch)):
        training.restore(state)
        training.to(device)
    else:
        training.note(Epoch(0, 0.0, math.nan, math.nan, *score_images(training.average, val, device)))
    for epoch in training.curve:
        on_epoch(epoch)
    first, step = training.curve[-1].epoch + 1, stepper(training, train.targets, device)
    with tqdm(range(first, settings.epochs + 1), f"finetune {name}", unit="epoch", disable=None) as bar:
        for number in bar:
            if number - training.kept_epoch > settings.patience:
                break
            loss, accuracy, waiting, steps = _train_epoch(training, step, number, train, device)
            waited, num_steps = waited + waiting, num_steps + steps
            val_loss, val_accuracy = score_images(training.average, val, device)
            if not math.isfinite(loss + val_loss):
                raise DataError(
                    f"{name}: the loss is not finite in epoch {number} (lr {settings.lr}); take a lower finetune.lr"
                )
            rate = settings.lr * warmup_cosine(number - 1, epochs=settings.epochs, warmup_epochs=settings.warmup_epochs)
            training.note(Epoch(number, rate, loss, accuracy, val_loss, val_accuracy))
            if scratch:
                checkpoints.save_checkpoint(scratch, training.state())
            on_epoch(training.curve[-1])
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    training.model.load_state_dict(interpolate_weights(training.start, training.kept, alpha=settings.wise_alpha))
    training.final = score_images(training.model, val, device)
    return LoaderWait(time.perf_counter() - started, waited, num_steps)


def score_images(model: nn.Module, images: ImageSet, device: torch.device) -> tuple[float, float]:
    """Log loss in nats at the best temperature and top-1 accuracy, in eval mode and float32, as extraction does.

    What is selected is calibrated; without, smoothed labels would look worse than they are.
    """
    model.eval()
    with torch.inference_mode():
        parts = (np.array(images.pixels[start : start + 32]) for start in range(0, len(images.pixels), 32))
        logits = torch.cat([model(to_device(part, device)).float() for part in parts]).cpu()
    temperature = fit_temperature(logits.numpy(), target=images.targets.numpy())
    loss = functional.cross_entropy(logits / temperature, images.targets).item()
    return loss, (logits.argmax(1) == images.targets).float().mean().item()


def stepper(training: Trainer, targets: torch.Tensor, device: torch.device) -> _Step:
    """training.step for the whole training; on CUDA replayed.

    Launching its kernels one by one took five times as long as computing them: ResNet-50, 32 images of 96 px, came to
    1,100 images a second on an H200, and replayed to 6,000.
    """
    settings = training.settings
    weight = None
    if training.balance == "loss":
        weight = torch.from_numpy(class_weights(targets.numpy(), int(targets.max()) + 1)).to(device)
    is_half = settings.precision == "bfloat16" or (settings.precision == "auto" and computes_bfloat16(device))
    step = partial(training.step, weight=weight, is_half=is_half)
    return GraphedCallable(step) if device.type == "cuda" else step


def _train_epoch(
    training: Trainer, step: _Step, number: int, train: ImageSet, device: torch.device
) -> tuple[float, float, float, int]:
    """Mean loss, top-1 accuracy, seconds that were waited for batches, and steps."""
    settings = training.settings
    set_train_mode(training.model, [training.model[1], *training.unfrozen.modules])
    order = _full_batches(train.targets, training, number)
    fed = Prefetcher(_batches_of(train, order, settings, number, device), device)
    total_loss, num_right = torch.zeros((), device=device), torch.zeros((), device=device)
    rate = partial(warmup_cosine, epochs=settings.epochs, warmup_epochs=settings.warmup_epochs)
    with seeded(_seed(settings, number), device), deterministic_cudnn():  # dropout draws from the global generator
        for done, batch in enumerate(fed, 1):
            training.set_lr(rate(number - 1 + done / len(order)))
            loss, right = step(*batch)
            total_loss += loss
            num_right += right
    return total_loss.item() / len(order), num_right.item() / len(order), fed.wait_seconds(), len(order)


def _batches_of(
    train: ImageSet, order: list[torch.Tensor], settings: FinetuneSettings, number: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Augmented pixels and soft targets (n, C) of each batch."""
    rng, num_classes = np.random.default_rng([settings.seed, number]), int(train.targets.max()) + 1
    for batch in order:
        pixels = to_device(train.pixels[batch.numpy()], device)
        targets = functional.one_hot(train.targets[batch], num_classes).float().to(device, non_blocking=True)
        varied = augment(pixels, size_px=settings.size_px, settings=settings.augment, rng=rng)
        yield mix(varied, targets, kind=settings.mix, rng=rng)


def _full_batches(targets: torch.Tensor, training: Trainer, number: int) -> list[torch.Tensor]:
    """The batches of an epoch, without a smaller last one if there are others: BatchNorm cannot do with one image."""
    settings, balance = training.settings, training.balance
    generator = torch.Generator().manual_seed(_seed(settings, number))
    drawn = list(batches(targets, balance=balance, batch_size=settings.batch_size, generator=generator))
    return [batch for batch in drawn if len(batch) == settings.batch_size] or drawn


def _seed(settings: FinetuneSettings, number: int) -> int:
    return int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
