"""What is trained on feature rows: a linear head for one backbone, and the ensembles over several."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from tandem.seeding import seeded


class Standardize(nn.Module):
    """Columns shifted and scaled by the mean and deviation of the rows it was made from (constant columns: scale 1).

    One learning rate then means the same for every backbone, whatever the size of its features.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        std = x.std(dim=0, correction=0)
        self.register_buffer("mean", x.mean(dim=0))
        self.register_buffer("std", torch.where(std > 1e-6, std, torch.ones_like(std)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, D) to (n, D)."""
        return (x - self.mean) / self.std


class FeatureNet(nn.Module):
    """The feature ensemble: each backbone's row projected to 1024, concatenated, then three steps down to the classes.

    LayerNorm, Dropout and Linear (1024, 512, classes) with ReLU between, as in the project's seed recipe.
    """

    width = 1024

    def __init__(self, dims: Sequence[int], num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.dims = list(dims)
        self.projections = nn.ModuleList(nn.Linear(dim, self.width) for dim in dims)
        steps: list[nn.Module] = []
        sizes = [self.width * len(dims), 1024, 512, num_classes]
        for fan_in, fan_out in pairwise(sizes):
            steps += [nn.LayerNorm(fan_in), nn.Dropout(dropout), nn.Linear(fan_in, fan_out), nn.ReLU()]
        self.steps = nn.Sequential(*steps[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, sum of dims), the backbones' rows side by side, to (n, num_classes) logits."""
        parts = zip(self.projections, x.split(self.dims, dim=1), strict=True)
        return self.steps(torch.cat([project(part) for project, part in parts], dim=1))


def linear_head(x: torch.Tensor, num_classes: int, *, dropout: float, seed: int) -> nn.Module:
    """Standardised rows (n, D) to logits by one linear layer. x: the train rows. Also the logit ensemble, on logits."""
    with seeded(seed):
        return nn.Sequential(Standardize(x), nn.Dropout(dropout), nn.Linear(x.shape[1], num_classes))


def feature_head(x: torch.Tensor, num_classes: int, *, dims: Sequence[int], dropout: float, seed: int) -> nn.Module:
    """Standardised rows of several backbones (n, sum of dims) to logits by the FeatureNet. x: the train rows."""
    with seeded(seed):
        return nn.Sequential(Standardize(x), FeatureNet(dims, num_classes, dropout=dropout))
