"""Network heads: modules from features to logits."""

import numpy as np
import torch
from torch import nn

from tandem.seeding import seeded
from tandem.training.linear import Linear

_HIDDEN = 256


class Standardize(nn.Module):
    """Columns shifted and scaled by the mean and deviation of the features it was made from (constant columns: by 1).

    One learning rate then means the same for every backbone, whatever the size of its features.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        std = features.std(dim=0, correction=0)
        self.register_buffer("mean", features.mean(dim=0))
        self.register_buffer("std", torch.where(std > 1e-6, std, torch.ones_like(std)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, D) to (n, D)."""
        return (features - self.mean) / self.std


class TemperatureScaled(nn.Module):
    """A head whose logits are divided by a temperature, which is meant to calibrate its probabilities."""

    temperature: torch.Tensor

    def __init__(self, head: nn.Module, temperature: float) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, D) to (n, C) logits."""
        return self.head(features) / self.temperature


def linear_head(features: torch.Tensor, num_classes: int, *, dropout: float, seed: int) -> nn.Module:
    """Standardised features (n, D) to logits by one linear layer. features: those of the train images."""
    with seeded(seed):
        return nn.Sequential(Standardize(features), nn.Dropout(dropout), nn.Linear(features.shape[1], num_classes))


def linear_network(fitted: Linear) -> nn.Module:
    """A fitted linear head as a network."""
    dim, num_classes = fitted.weight.shape[1], fitted.weight.shape[0]
    head = linear_head(torch.zeros(1, dim), num_classes, dropout=0.0, seed=0)
    names = {"0.mean": fitted.mean, "0.std": fitted.std, "2.weight": fitted.weight, "2.bias": fitted.bias}
    head.load_state_dict({name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in names.items()})
    return head.eval()


def mlp_head(features: torch.Tensor, num_classes: int, *, dropout: float, seed: int) -> nn.Module:
    """Standardised features (n, D) to logits by one hidden layer of 256 with ReLU. features: of the train images."""
    with seeded(seed):
        return nn.Sequential(
            Standardize(features),
            nn.Dropout(dropout),
            nn.Linear(features.shape[1], _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, num_classes),
        )
