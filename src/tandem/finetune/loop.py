"""Fit the unfrozen layers of a backbone and its head to images by AdamW; the averaged weights of one epoch are kept.

Each epoch draws from (seed, epoch) alone, so one that goes on after a kill ends with the same bytes as an unbroken one.
"""

import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from tandem.errors import DataError
from tandem.evaluation.calibration import fit_temperature
from tandem.finetune.batches import ImageSet, augmented_batches, epoch_seed, sample_epoch
from tandem.finetune.checkpoints import load_checkpoint, save_checkpoint
from tandem.finetune.prefetch import Prefetcher, to_device
from tandem.finetune.trainer import Step, Trainer
from tandem.seeding import deterministic_cudnn, seeded
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch

_VAL_BATCH_SIZE = 32


class LoaderWait(NamedTuple):
    """Seconds of a training: all of them, and those that it waited for batches."""

    total_s: float
    wait_s: float


def fit_images(
    trainer: Trainer,
    *,
    train: ImageSet,
    val: ImageSet,
    device: torch.device,
    checkpoint_dir: Path | None,
    name: str,
    on_epoch: EpochLogger = ignore_epoch,
) -> LoaderWait:
    """Train to the last epoch or the end of patience, and leave the kept averaged weights in trainer.model.

    checkpoint_dir: where the state lies after each epoch, and is looked for; None is nowhere. on_epoch: called with
    each line of the curve as it comes, and first with those of a training that goes on. Raises DataError when the loss
    stops being finite.
    """
    started, wait_s, settings = time.perf_counter(), 0.0, trainer.settings
    _start_or_resume(trainer, train=train, val=val, device=device, checkpoint_dir=checkpoint_dir)
    for epoch in trainer.curve:
        on_epoch(epoch)
    first, step = trainer.curve[-1].epoch + 1, trainer.graphed_step()
    with tqdm(range(first, settings.epochs + 1), f"finetune {name}", unit="epoch", disable=None) as bar:
        for number in bar:
            if number - trainer.kept_epoch > settings.patience:
                break
            loss, accuracy, epoch_wait_s = _train_epoch(trainer, train, epoch=number, step=step)
            wait_s += epoch_wait_s
            val_loss, val_accuracy = score_images(trainer.average, val, device)
            if not math.isfinite(loss + val_loss):
                raise DataError(
                    f"{name}: the loss is not finite in epoch {number} (lr {settings.lr}); take a lower finetune.lr"
                )
            lr = settings.lr * trainer.lr_fraction(number - 1)
            trainer.on_epoch_end(Epoch(number, lr, loss, accuracy, val_loss, val_accuracy))
            if checkpoint_dir:
                save_checkpoint(checkpoint_dir, trainer.state())
            on_epoch(trainer.curve[-1])
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    trainer.load_kept()
    trainer.final_scores = score_images(trainer.model, val, device)
    return LoaderWait(time.perf_counter() - started, wait_s)


def score_images(model: nn.Module, images: ImageSet, device: torch.device) -> tuple[float, float]:
    """Log loss in nats at the best temperature and top-1 accuracy, in eval mode and float32, as extraction does.

    What is selected is calibrated; without, smoothed labels would look worse than they are.
    """
    model.eval()
    starts = range(0, len(images.pixels), _VAL_BATCH_SIZE)
    with torch.inference_mode():
        parts = (np.array(images.pixels[start : start + _VAL_BATCH_SIZE]) for start in starts)
        logits = torch.cat([model(to_device(part, device)).float() for part in parts]).cpu()
    temperature = fit_temperature(logits.numpy(), images.targets.numpy())
    loss = functional.cross_entropy(logits / temperature, images.targets).item()
    return loss, (logits.argmax(1) == images.targets).float().mean().item()


def _start_or_resume(
    trainer: Trainer, *, train: ImageSet, val: ImageSet, device: torch.device, checkpoint_dir: Path | None
) -> None:
    """Bring the trainer to the device and to its last checkpoint, or to epoch 0, which is the start itself."""
    trainer.prepare(train.targets, device)
    if checkpoint_dir and (state := load_checkpoint(checkpoint_dir)):
        trainer.restore(state)
    else:
        scores = score_images(trainer.average, val, device)
        trainer.on_epoch_end(Epoch(0, 0.0, math.nan, math.nan, *scores))


def _train_epoch(trainer: Trainer, train: ImageSet, *, epoch: int, step: Step) -> tuple[float, float, float]:
    """Mean loss, top-1 accuracy, and seconds that were waited for batches."""
    settings, device = trainer.settings, trainer.device
    sampled = sample_epoch(train.targets, settings, balance=trainer.balance, epoch=epoch)
    batches = Prefetcher(augmented_batches(train, sampled, settings, epoch=epoch, device=device), device)
    with seeded(epoch_seed(settings, epoch), device), deterministic_cudnn():  # dropout draws from the global generator
        loss, accuracy = trainer.train_epoch(batches, epoch=epoch, num_batches=len(sampled), step=step)
    return loss, accuracy, batches.wait_s()
