"""Single steps of a fine-tune, against torch's own parts."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tandem.finetune.augment import Augment
from tandem.finetune.layers import TrainableLayers
from tandem.finetune.trainer import FinetuneSettings, Trainer

SETTINGS = FinetuneSettings(
    lr=0.1,
    layer_decay=0.5,
    batch_size=6,
    epochs=1,
    keep="last",
    patience=1,
    warmup_epochs=0,
    weight_decay=0.0,
    label_smoothing=0.1,
    ema_decay=0.8,
    clip_norm=1.0,
    wise_alpha=1.0,
    probe_first=False,
    mix="none",
    augment=Augment(1.0, False, 0.0),
    size_px=8,
    precision="float32",
    seed=0,
    balance="none",
)


class Pooled(nn.Module):
    """(n, H, W, 3) to (n, 4): a convolution and a BatchNorm, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels.permute(0, 3, 1, 2)).mean((2, 3))


@pytest.fixture
def training() -> Trainer:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        backbone, head = Pooled(), nn.Linear(4, 2)
    return Trainer(backbone, head, TrainableLayers((tuple(backbone.parameters()),), (backbone,)), SETTINGS)


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    drawn = torch.rand(count, 6, 8, 8, 3, generator=torch.Generator().manual_seed(1)) * 255
    return [(pixels, torch.eye(2)[torch.arange(6) % 2]) for pixels in drawn]


def test_the_average_is_that_of_torch(training: Trainer) -> None:
    expected = AveragedModel(copy.deepcopy(training.model), multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)
    expected.update_parameters(training.model)
    for batch in batches(4):
        training.step(*batch, weight=None, is_half=False)
        expected.update_parameters(training.model)
    floats = {key: value for key, value in expected.module.state_dict().items() if value.is_floating_point()}
    found = training.average.state_dict()
    assert all(torch.equal(found[key], value) for key, value in floats.items())
    assert not torch.equal(found["1.weight"], training.model[1].weight)
    assert int(found["0.layers.1.num_batches_tracked"]) == 4


def test_the_loss_is_that_before_the_step_and_a_rate_of_nothing_moves_nothing(training: Trainer) -> None:
    [(pixels, targets)] = batches(1)
    training.set_lr(0)
    first, right = training.step(pixels, targets, weight=None, is_half=False)
    training.set_lr(1)
    second, _ = training.step(pixels, targets, weight=None, is_half=False)
    third, _ = training.step(pixels, targets, weight=None, is_half=False)
    assert first == second
    assert third < second
    assert 0 <= right <= 1
    assert [group["lr"] for group in training.optimizer.param_groups] == training.rates == [0.1, 0.1, 0.05, 0.05]
