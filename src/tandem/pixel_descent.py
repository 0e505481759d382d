"""Fit the thawed layers of a trunk and its head to pictures by AdamW; the averaged weights of one epoch are kept.

Each epoch draws from (seed, epoch) alone, so one that goes on after a kill ends with the same bytes as an unbroken one.
"""

import copy
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from tandem import recovery
from tandem.augmentation import Augment, Mix, augment, mix
from tandem.calibration import fit_temperature
from tandem.descent import batches
from tandem.engines import computes_bfloat16
from tandem.errors import DataError
from tandem.progress import Balance, class_weights
from tandem.seeding import seeded
from tandem.thawing import Thawed, between, parameter_groups, rate_at, set_mode
from tandem.tracking import Epoch, OnEpoch, ignore

_Item = TypeVar("_Item")


class Pictures(NamedTuple):
    """pixels: (n, side, side, 3) uint8, may be a memory map. targets: (n,) int64 class indices."""

    pixels: np.ndarray
    targets: torch.Tensor


@dataclass(frozen=True)
class Settings:
    """lr: of the head at its highest, see thawing.parameter_groups. size_px: of the crops that are trained on.

    keep: the epoch of lowest validation loss, or the last. patience: of keeping the best, epochs without a lower loss.
    warmup_epochs: lr rises, then falls by a cosine. ema_decay: of the averaged weights, a step. clip_norm: longest
    gradient. wise_alpha: see thawing.between. mix, augment: see augmentation. precision: "auto" is bfloat16 where there
    are units for it. balance: see descent.Settings.
    """

    lr: float
    layer_decay: float
    batch_size: int
    epochs: int
    keep: Literal["best", "last"]
    patience: int
    warmup_epochs: int
    weight_decay: float
    label_smoothing: float
    ema_decay: float
    clip_norm: float
    wise_alpha: float
    probe_first: bool
    mix: Mix
    augment: Augment
    size_px: int
    precision: Literal["auto", "float32", "bfloat16"]
    seed: int
    balance: Balance


class Waited(NamedTuple):
    """Seconds of a training: all of them, and those that it waited for batches."""

    total_s: float
    waited_s: float
    num_steps: int


class Training:
    """What changes from step to step: weights, their average, the optimizer, the curve, the weights kept so far."""

    def __init__(self, trunk: nn.Module, head: nn.Module, thawed: Thawed, settings: Settings) -> None:
        self.model = nn.Sequential(trunk, head)
        self.start = copy.deepcopy(self.model.state_dict())
        self.thawed, self.settings = thawed, settings
        groups = parameter_groups(
            head, thawed, lr=settings.lr, layer_decay=settings.layer_decay, weight_decay=settings.weight_decay
        )
        self.rates = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        average = get_ema_multi_avg_fn(settings.ema_decay)
        self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.average.update_parameters(self.model)  # the average begins at the start, not after the first step
        self.curve, self.kept_epoch, self.kept_loss = list[Epoch](), 0, math.inf
        self.kept: dict[str, torch.Tensor] = {}
        self.final = (math.nan, math.nan)  # validation loss and accuracy of what is left in model

    def note(self, epoch: Epoch) -> None:
        """Note an epoch, and its averaged weights if they are what is kept so far."""
        self.curve.append(epoch)
        if self.settings.keep == "last" or epoch.val_loss < self.kept_loss:
            self.kept_epoch, self.kept_loss = epoch.epoch, epoch.val_loss
            self.kept = copy.deepcopy(self.average.module.state_dict())

    def state(self) -> dict[str, Any]:
        """All of it."""
        own = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "average")}
        rest = {"kept": self.kept, "kept_epoch": self.kept_epoch, "kept_loss": self.kept_loss}
        return {**own, **rest, "curve": [asdict(epoch) for epoch in self.curve]}

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the training was whose state() this is."""
        for name in ("model", "optimizer", "average"):
            getattr(self, name).load_state_dict(state[name])
        self.kept, self.kept_epoch, self.kept_loss = state["kept"], state["kept_epoch"], state["kept_loss"]
        self.curve = [Epoch(**epoch) for epoch in state["curve"]]


def fit(
    training: Training,
    *,
    train: Pictures,
    val: Pictures,
    device: torch.device,
    scratch: Path | None,
    name: str,
    on_epoch: OnEpoch = ignore,
) -> Waited:
    """Train to the last epoch or the end of patience, and leave the kept averaged weights in training.model.

    Epoch 0 is the start itself. scratch: where the state lies after each epoch, and is looked for; None is nowhere.
    on_epoch: called with each line of the curve as it comes, and first with those of a training that goes on.
    Raises DataError when the loss stops being finite.
    """
    settings, started, waited, num_steps = training.settings, time.perf_counter(), 0.0, 0
    nn.ModuleList([training.model, training.average]).to(device)
    if scratch and (state := recovery.load(scratch)):
        training.restore(state)
    else:
        training.note(Epoch(0, 0.0, math.nan, math.nan, *score(training.average.module, val, device)))
    for epoch in training.curve:
        on_epoch(epoch)
    first = training.curve[-1].epoch + 1
    with tqdm(range(first, settings.epochs + 1), f"finetune {name}", unit="epoch", disable=None) as bar:
        for number in bar:
            if number - training.kept_epoch > settings.patience:
                break
            loss, accuracy, waiting, steps = _train_epoch(training, number, train, device)
            waited, num_steps = waited + waiting, num_steps + steps
            val_loss, val_accuracy = score(training.average.module, val, device)
            if not math.isfinite(loss + val_loss):
                raise DataError(
                    f"{name}: the loss is not finite in epoch {number} (lr {settings.lr}); take a lower finetune.lr"
                )
            rate = settings.lr * rate_at(number - 1, epochs=settings.epochs, warmup_epochs=settings.warmup_epochs)
            training.note(Epoch(number, rate, loss, accuracy, val_loss, val_accuracy))
            if scratch:
                recovery.save(scratch, training.state())
            on_epoch(training.curve[-1])
            bar.set_postfix(val_loss=f"{val_loss:.3f}", val_top1=f"{val_accuracy:.3f}")
    training.model.load_state_dict(between(training.start, training.kept, alpha=settings.wise_alpha))
    training.final = score(training.model, val, device)
    return Waited(time.perf_counter() - started, waited, num_steps)


def score(model: nn.Module, pictures: Pictures, device: torch.device) -> tuple[float, float]:
    """Log loss in nats at the best temperature and top-1 accuracy, in eval mode and float32, as extraction does.

    What is shipped is calibrated; without, smoothed labels would look worse than they are.
    """
    model.eval()
    with torch.inference_mode():
        parts = (pictures.pixels[start : start + 32] for start in range(0, len(pictures.pixels), 32))
        logits = torch.cat([model(torch.from_numpy(np.array(part)).to(device)).float().cpu() for part in parts])
    temperature = fit_temperature(logits.numpy(), target=pictures.targets.numpy())
    loss = functional.cross_entropy(logits / temperature, pictures.targets).item()
    return loss, (logits.argmax(1) == pictures.targets).float().mean().item()


def _train_epoch(
    training: Training, number: int, train: Pictures, device: torch.device
) -> tuple[float, float, float, int]:
    """Mean loss, top-1 accuracy, seconds that were waited for batches, and steps."""
    settings, (trunk, head) = training.settings, training.model
    set_mode(training.model, [head, *training.thawed.modules])
    num_classes = int(train.targets.max()) + 1
    weight = None
    if settings.balance == "loss":
        weight = torch.from_numpy(class_weights(train.targets.numpy(), num_classes)).to(device)
    half = settings.precision == "bfloat16" or (settings.precision == "auto" and computes_bfloat16(device))
    order = _full_batches(train.targets, settings, number)
    total_loss = torch.zeros((), device=device)
    num_right, waited, last = torch.zeros((), device=device), 0.0, time.perf_counter()
    rate = partial(rate_at, epochs=settings.epochs, warmup_epochs=settings.warmup_epochs)
    with seeded(_seed(settings, number)):  # dropout draws from the global generator
        for step, (pixels, targets) in enumerate(ahead(_drawn(train, order, settings, number, device, num_classes))):
            waited += time.perf_counter() - last
            for group, lr in zip(training.optimizer.param_groups, training.rates, strict=True):
                group["lr"] = lr * rate(number - 1 + (step + 1) / len(order))
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                features = trunk(pixels)
            logits = head(features.float())
            loss = functional.cross_entropy(logits, targets, weight=weight, label_smoothing=settings.label_smoothing)
            training.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(
                [p for g in training.optimizer.param_groups for p in g["params"]], settings.clip_norm
            )
            training.optimizer.step()
            training.average.update_parameters(training.model)
            total_loss += loss.detach()
            num_right += (logits.argmax(1) == targets.argmax(1)).float().mean()
            last = time.perf_counter()
    return total_loss.item() / len(order), num_right.item() / len(order), waited, len(order)


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items in the same order; while one is used, a thread makes the next."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def _drawn(
    train: Pictures, order: list[torch.Tensor], settings: Settings, number: int, device: torch.device, num_classes: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Augmented pixels and soft targets (n, C) of each batch."""
    rng = np.random.default_rng([settings.seed, number])
    for batch in order:
        pixels = torch.from_numpy(train.pixels[batch.numpy()]).to(device)
        targets = functional.one_hot(train.targets[batch], num_classes).float().to(device)
        varied = augment(pixels, size_px=settings.size_px, settings=settings.augment, rng=rng)
        yield mix(varied, targets, kind=settings.mix, rng=rng)


def _full_batches(targets: torch.Tensor, settings: Settings, number: int) -> list[torch.Tensor]:
    """The batches of an epoch, without a smaller last one if there are others: BatchNorm cannot do with one picture."""
    generator = torch.Generator().manual_seed(_seed(settings, number))
    drawn = list(batches(targets, balance=settings.balance, batch_size=settings.batch_size, generator=generator))
    return [batch for batch in drawn if len(batch) == settings.batch_size] or drawn


def _seed(settings: Settings, number: int) -> int:
    return int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
