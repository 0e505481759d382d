"""What changes from step to step of a fine-tune, and one step of it."""

import copy
import math
from dataclasses import asdict
from itertools import chain, compress
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tandem.finetune.layers import TrainableLayers, parameter_groups
from tandem.finetune.settings import FinetuneSettings
from tandem.training.loggers import Epoch
from tandem.training.settings import Balance


class Trainer:
    """What changes from step to step: weights, their average, the optimizer, the curve, the weights kept so far."""

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        unfrozen: TrainableLayers,
        settings: FinetuneSettings,
        *,
        balance: Balance,
    ) -> None:
        self.model = nn.Sequential(backbone, head)
        self.start = copy.deepcopy(self.model.state_dict())
        self.unfrozen, self.settings, self.balance = unfrozen, settings, balance
        groups = parameter_groups(
            head, unfrozen, lr=settings.lr, layer_decay=settings.layer_decay, weight_decay=settings.weight_decay
        )
        self.rates = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.curve, self.kept_epoch, self.kept_loss = list[Epoch](), 0, math.inf
        self.kept: dict[str, torch.Tensor] = {}
        self.final = (math.nan, math.nan)  # validation loss and accuracy of what is left in model

    def to(self, device: torch.device) -> None:
        """Go on from there on a device; on CUDA the learning rates lie there too, where a replayed step reads them."""
        nn.ModuleList([self.model, self.average]).to(device)
        if device.type == "cuda":
            for group in self.optimizer.param_groups:
                group.update(capturable=True, lr=torch.tensor(float(group["lr"]), device=device))

    def set_lr(self, share: float) -> None:
        """Let each group learn by this share of its highest rate."""
        for group, highest in zip(self.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(highest * share)
            else:
                group["lr"] = highest * share

    def step(
        self, pixels: torch.Tensor, targets: torch.Tensor, *, weight: torch.Tensor | None, is_half: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the optimizer and the average: the loss before it, and the share that was right."""
        backbone, head = self.model
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=is_half):
            features = backbone(pixels)
        logits = head(features.float())
        loss = functional.cross_entropy(logits, targets, weight=weight, label_smoothing=self.settings.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(
            [p for group in self.optimizer.param_groups for p in group["params"]], self.settings.clip_norm
        )
        self.optimizer.step()
        self._update_ema()
        return loss.detach(), (logits.argmax(1) == targets.argmax(1)).float().mean()

    def _update_ema(self) -> None:
        """Move the average; torch's AveragedModel would wait for the device, once a step at least."""
        own, new = (list(chain(module.parameters(), module.buffers())) for module in (self.average, self.model))
        is_float = [tensor.is_floating_point() for tensor in own]
        with torch.no_grad():
            torch._foreach_lerp_(
                list(compress(own, is_float)), list(compress(new, is_float)), 1 - self.settings.ema_decay
            )
            for count, tensor in zip(own, new, strict=True):
                if not count.is_floating_point():  # of BatchNorm
                    count.copy_(tensor)

    def note(self, epoch: Epoch) -> None:
        """Note an epoch, and its averaged weights if they are what is kept so far."""
        self.curve.append(epoch)
        if self.settings.keep == "last" or epoch.val_loss < self.kept_loss:
            self.kept_epoch, self.kept_loss = epoch.epoch, epoch.val_loss
            self.kept = copy.deepcopy(self.average.state_dict())

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
