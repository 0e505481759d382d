"""Fit the unfrozen layers of a backbone and its head to images by AdamW; the averaged weights of one epoch are kept.

Each epoch draws from (seed, epoch) alone, so one that goes on after a kill ends with the same bytes as an unbroken one.
"""

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from tandem.errors import ClusterError, DataError
from tandem.evaluation.calibration import fit_temperature
from tandem.features.backbones.backbone import state_digest
from tandem.finetune.batches import ImageSet, augmented_batches, sample_epoch
from tandem.finetune.checkpoints import load_checkpoint, save_checkpoint
from tandem.finetune.parallel.processes import ALONE, Processes
from tandem.finetune.prefetch import Prefetcher, to_device
from tandem.finetune.trainer import Trainer
from tandem.seeding import deterministic_cudnn
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
    first = trainer.curve[-1].epoch + 1
    with tqdm(range(first, settings.epochs + 1), f"finetune {name}", unit="epoch", disable=None) as bar:
        for number in bar:
            if number - trainer.kept_epoch > settings.patience:
                break
            loss, accuracy, epoch_wait_s = _train_epoch(trainer, train, epoch=number)
            wait_s += epoch_wait_s
            val_loss, val_accuracy = score_images(trainer.average, val, device, trainer.processes)
            if not math.isfinite(loss + val_loss):
                raise DataError(
                    f"{name}: the loss is not finite in epoch {number} (lr {settings.lr}); take a lower finetune.lr"
                )
            lr = settings.lr * trainer.lr_fraction(number - 1)
            trainer.on_epoch_end(Epoch(number, lr, loss, accuracy, val_loss, val_accuracy))
            _require_same_weights(trainer)
            if checkpoint_dir and trainer.processes.is_first:
                save_checkpoint(checkpoint_dir, trainer.state())
            on_epoch(trainer.curve[-1])
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    trainer.load_kept()
    trainer.final_scores = score_images(trainer.model, val, device, trainer.processes)
    return LoaderWait(time.perf_counter() - started, wait_s)


def score_images(
    model: nn.Module, images: ImageSet, device: torch.device, processes: Processes = ALONE
) -> tuple[float, float]:
    """Log loss in nats at the best temperature and top-1 accuracy, in eval mode and float32, as extraction does.

    What is selected is calibrated; without, smoothed labels would look worse than they are. Each process has some of
    the batches, and all have the first one's scores.
    """
    model.eval()
    starts = range(0, len(images.pixels), _VAL_BATCH_SIZE)
    with torch.inference_mode():
        parts = ((at, np.array(images.pixels[at : at + _VAL_BATCH_SIZE])) for at in processes.own(starts))
        computed = {at: model(to_device(part, device)).float() for at, part in parts}
    found = processes.all({at: logits.cpu().numpy() for at, logits in computed.items()})
    logits = torch.from_numpy(np.concatenate([found[number % processes.count][at] for number, at in enumerate(starts)]))
    temperature = fit_temperature(logits.numpy(), images.targets.numpy())
    loss = functional.cross_entropy(logits / temperature, images.targets).item()
    return processes.all((loss, (logits.argmax(1) == images.targets).float().mean().item()))[0]


def _start_or_resume(
    trainer: Trainer, *, train: ImageSet, val: ImageSet, device: torch.device, checkpoint_dir: Path | None
) -> None:
    """Bring the trainer to the device and to its last checkpoint, or to epoch 0, which is the start itself."""
    trainer.prepare(train.targets, device)
    state = load_checkpoint(checkpoint_dir) if checkpoint_dir else None
    _require_same_state(state, trainer.processes)
    if state:
        trainer.restore(state)
    else:
        scores = score_images(trainer.average, val, device, trainer.processes)
        trainer.on_epoch_end(Epoch(0, 0.0, math.nan, math.nan, *scores))


def _require_same_state(state: dict[str, Any] | None, processes: Processes) -> None:
    """Raise ClusterError where processes would not go on from the same epoch."""
    epochs = processes.all(len(state["curve"]) - 1 if state else None)
    if len(set(epochs)) > 1:
        found = ", ".join("none" if epoch is None else f"epoch {epoch}" for epoch in epochs)
        raise ClusterError(
            f"the processes of the training find different checkpoints ({found}); put the project on a disk that all "
            "machines have under the same path, such as NFS, and run it again"
        )


def _require_same_weights(trainer: Trainer) -> None:
    """Raise ClusterError where processes do not have the same weights after an epoch."""
    if trainer.processes.count > 1 and len(set(trainer.processes.all(state_digest(trainer.model)))) > 1:
        raise ClusterError(
            f"after epoch {trainer.curve[-1].epoch} the processes of the training do not have the same weights; take "
            "machines of one kind, with the same packages, whose memory is sound"
        )


def _train_epoch(trainer: Trainer, train: ImageSet, *, epoch: int) -> tuple[float, float, float]:
    """Mean loss, top-1 accuracy, and seconds that were waited for batches."""
    settings, device = trainer.settings, trainer.device
    sampled = sample_epoch(train.targets, settings, balance=trainer.balance, epoch=epoch)
    made = augmented_batches(train, sampled, settings, epoch=epoch, device=device, processes=trainer.processes)
    batches = Prefetcher(made, device)
    with deterministic_cudnn():
        loss, accuracy = trainer.train_epoch(batches, epoch=epoch, num_batches=len(sampled), num_images=len(sampled[0]))
    return loss, accuracy, batches.wait_s()
