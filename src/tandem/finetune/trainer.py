"""What changes from step to step of a fine-tune, and how: weights, their average, the optimizer, what is kept."""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import chain, compress
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tandem.features.cuda_graph import GraphedCallable
from tandem.features.device import computes_bfloat16
from tandem.finetune.job import num_micro_batches
from tandem.finetune.layers import TrainableLayers, parameter_groups
from tandem.finetune.parallel.gradients import BatchGradient, micro_batch_seed
from tandem.finetune.parallel.processes import ALONE, Processes
from tandem.finetune.settings import FinetuneSettings
from tandem.training.fitting.early_stopping import class_weights
from tandem.training.loggers import Epoch
from tandem.training.settings import Balance


class Trainer:
    """model: backbone and head. average: its exponential moving average (EMA), which is validated and kept.

    curve: the epochs so far, of which the first is the start itself. kept, kept_epoch: the weights kept so far.
    final_scores: validation loss and accuracy of what is left in model after the last epoch. processes: that train it,
    each with a trainer of its own, whose weights are the same after each step.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        unfrozen: TrainableLayers,
        settings: FinetuneSettings,
        *,
        balance: Balance,
        processes: Processes = ALONE,
    ) -> None:
        self.model = nn.Sequential(backbone, head)
        self.start = copy.deepcopy(self.model.state_dict())
        self.unfrozen, self.settings, self.balance, self.processes = unfrozen, settings, balance, processes
        groups = parameter_groups(
            head, unfrozen, lr=settings.lr, layer_decay=settings.layer_decay, weight_decay=settings.weight_decay
        )
        self.highest_lrs = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.curve, self.kept_epoch, self.kept_loss = list[Epoch](), 0, math.inf
        self.kept: dict[str, torch.Tensor] = {}
        self.final_scores = (math.nan, math.nan)
        self.device, self.uses_bfloat16 = torch.device("cpu"), False
        self.class_weights: torch.Tensor | None = None  # of the loss

    def prepare(self, targets: torch.Tensor, device: torch.device) -> None:
        """Go on from here on a device. targets: (n,) class indices of the train split."""
        self.device = device
        nn.ModuleList([self.model, self.average]).to(device)
        self._place_lrs()
        if self.balance == "loss":
            weights = class_weights(targets.numpy(), int(targets.max()) + 1)
            self.class_weights = torch.from_numpy(weights).to(device)
        precision = self.settings.precision
        self.uses_bfloat16 = precision == "bfloat16" or (precision == "auto" and computes_bfloat16(device))
        self._gradient = BatchGradient(
            self._loss, self._parameters, self._trained_modules, processes=self.processes, device=device
        )
        # Launching kernels one by one took five times as long as computing them: ResNet-50, 32 images of 96 px, came to
        # 1,100 images a second on an H200, and as a graph to 6,000.
        self._update = GraphedCallable(self._apply) if device.type == "cuda" else self._apply

    def train_epoch(
        self,
        batches: Iterable[tuple[torch.Tensor, ...]],
        *,
        epoch: int,
        num_batches: int,
        num_images: int | None = None,
    ) -> tuple[float, float]:
        """Mean loss and top-1 accuracy over the batches of an epoch, counted from 1. num_images: see step."""
        self.set_train_mode()
        total_loss, total_accuracy = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        for done, batch in enumerate(batches, 1):
            self.set_lr(self.lr_fraction(epoch - 1 + done / num_batches))
            loss, accuracy = self.step(*batch, num_images=num_images, epoch=epoch, number=done)
            total_loss += loss
            total_accuracy += accuracy
        return total_loss.item() / num_batches, total_accuracy.item() / num_batches

    def set_train_mode(self) -> None:
        """Train mode for the head and what is unfrozen alone: a frozen layer's BatchNorm statistics must not drift."""
        self.model.eval()
        for module in self._trained_modules:
            module.train()

    def lr_fraction(self, epoch: float) -> float:
        """Fraction of the full lr after so many epochs."""
        return warmup_cosine(epoch, epochs=self.settings.epochs, warmup_epochs=self.settings.warmup_epochs)

    def set_lr(self, fraction: float) -> None:
        """Let each group of parameters learn by this fraction of its highest lr."""
        for group, highest in zip(self.optimizer.param_groups, self.highest_lrs, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(highest * fraction)
            else:
                group["lr"] = highest * fraction

    def step(
        self, *parts: torch.Tensor, num_images: int | None = None, epoch: int = 0, number: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the optimizer and the average: the loss before it, and the accuracy, of the whole batch.

        parts: pixels and targets (n, C) of each micro-batch of this process, in turn. num_images: of the batch, where
        other processes have some of them. epoch, number: of the batch, from which its randomness comes.
        """
        num_images = num_images or sum(len(pixels) for pixels in parts[::2])
        count = num_micro_batches(num_images, self.settings.num_micro_batches)
        seeds = [micro_batch_seed(self.settings.seed, epoch=epoch, batch=number, number=each) for each in range(count)]
        self._gradient.sum_up(parts, num_images=num_images, count=count, seeds=seeds)
        loss, accuracy = self._update()
        return loss, accuracy

    def _loss(self, pixels: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss and accuracy."""
        backbone, head = self.model
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            features = backbone(pixels)
        logits = head(features.float())
        smoothing = self.settings.label_smoothing
        loss = functional.cross_entropy(logits, targets, weight=self.class_weights, label_smoothing=smoothing)
        return loss, (logits.argmax(1) == targets.argmax(1)).float().mean()

    def _apply(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Learn by the gradients that are summed up; loss and accuracy."""
        loss, accuracy = self._gradient.finish()
        nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
        self.optimizer.step()
        self._update_ema()
        return loss, accuracy

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @property
    def _trained_modules(self) -> tuple[nn.Module, ...]:
        return (self.model[1], *self.unfrozen.modules)

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Add an epoch to the curve, and keep its averaged weights if they are the best so far or the last are kept."""
        self.curve.append(epoch)
        if self.settings.keep == "last" or epoch.val_loss < self.kept_loss:
            self.kept_epoch, self.kept_loss = epoch.epoch, epoch.val_loss
            self.kept = copy.deepcopy(self.average.state_dict())

    def load_kept(self) -> None:
        """Leave what is kept in model, interpolated with the start by wise_alpha."""
        self.model.load_state_dict(interpolate_weights(self.start, self.kept, alpha=self.settings.wise_alpha))

    def state(self) -> dict[str, Any]:
        """All that a training needs to go on."""
        modules = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "average")}
        kept = {"kept": self.kept, "kept_epoch": self.kept_epoch, "kept_loss": self.kept_loss}
        return {**modules, **kept, "curve": [asdict(epoch) for epoch in self.curve]}

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the trainer was whose state this is, on the device of today."""
        for name in ("model", "optimizer", "average"):
            getattr(self, name).load_state_dict(state[name])
        self._place_lrs()
        self.kept, self.kept_epoch, self.kept_loss = state["kept"], state["kept_epoch"], state["kept_loss"]
        self.curve = [Epoch(**epoch) for epoch in state["curve"]]

    def _place_lrs(self) -> None:
        """On CUDA learning rates lie on the device, where a step that is a graph reads them."""
        if self.device.type == "cuda":
            for group in self.optimizer.param_groups:
                group.update(capturable=True, lr=torch.tensor(float(group["lr"]), device=self.device))

    def _update_ema(self) -> None:
        """Move the average; torch's AveragedModel would wait for the device, once a step at least."""
        averages, values = (list(chain(net.parameters(), net.buffers())) for net in (self.average, self.model))
        is_float = [tensor.is_floating_point() for tensor in averages]
        with torch.no_grad():
            torch._foreach_lerp_(
                list(compress(averages, is_float)), list(compress(values, is_float)), 1 - self.settings.ema_decay
            )
            for average, value in zip(averages, values, strict=True):
                if not average.is_floating_point():  # BatchNorm counts batches
                    average.copy_(value)


def warmup_cosine(epoch: float, *, epochs: int, warmup_epochs: int) -> float:
    """Fraction of the full lr after so many epochs, parts of one too: a linear rise, then a cosine to 0."""
    if epoch < warmup_epochs:
        return epoch / warmup_epochs
    rest = epochs - warmup_epochs
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup_epochs) / rest)) if rest > 0 else 1.0


def interpolate_weights(
    start: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor], *, alpha: float
) -> dict[str, torch.Tensor]:
    """Weights that are alpha those of `tuned` and the rest those of `start` (WiSE-FT, Wortsman et al. 2022).

    What is the same in both, as in frozen layers, stays so to the last bit; counts are those of `tuned`.
    """
    mixed = {}
    for key, value in tuned.items():
        before = start[key].to(value.device)
        is_kept = torch.equal(value, before) or not value.is_floating_point()
        mixed[key] = value if is_kept else before.lerp(value, alpha)
    return mixed
