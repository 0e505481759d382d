"""Single steps and epochs of a fine-tune, against torch's own parts."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from factories import finetune_settings
from tandem.finetune.layers import TrainableLayers
from tandem.finetune.trainer import Trainer, interpolate_weights, warmup_cosine
from tandem.training.loggers import Epoch
from tandem.training.settings import Balance

CPU = torch.device("cpu")
TARGETS = torch.tensor([0, 1, 1, 1])


class Pooled(nn.Module):
    """(n, H, W, 3) to (n, 4): a convolution and a BatchNorm, averaged; then another BatchNorm, which is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.frozen = nn.BatchNorm1d(4).requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.frozen(self.layers(pixels.permute(0, 3, 1, 2)).mean((2, 3)))


def new_trainer(*, balance: Balance = "none", **changes: object) -> Trainer:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        backbone, head = Pooled(), nn.Linear(4, 2)
    plain = {"lr": 0.1, "layer_decay": 0.5, "warmup_epochs": 0, "weight_decay": 0.0, "ema_decay": 0.8}
    settings = finetune_settings(**{**plain, **changes})
    unfrozen = TrainableLayers((tuple(backbone.layers.parameters()),), (backbone.layers,))
    trainer = Trainer(backbone, head, unfrozen, settings, balance=balance)
    trainer.prepare(TARGETS, CPU)
    return trainer


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    pixels = torch.rand(count, 6, 8, 8, 3, generator=torch.Generator().manual_seed(1)) * 255
    return [(each, torch.eye(2)[torch.arange(6) % 2]) for each in pixels]


def epoch(number: int, val_loss: float) -> Epoch:
    return Epoch(number, 0.1, 1.0, 0.5, val_loss, 0.5)


def test_the_average_is_torch_s_exponential_moving_average() -> None:
    trainer = new_trainer()
    trainer.set_train_mode()
    expected = AveragedModel(copy.deepcopy(trainer.model), multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)
    expected.update_parameters(trainer.model)
    for batch in batches(4):
        trainer.step(*batch)
        expected.update_parameters(trainer.model)
    floats = {key: value for key, value in expected.module.state_dict().items() if value.is_floating_point()}
    found = trainer.average.state_dict()
    assert all(torch.equal(found[key], value) for key, value in floats.items())
    assert not torch.equal(found["1.weight"], trainer.model[1].weight)
    assert int(found["0.layers.1.num_batches_tracked"]) == 4


def test_the_loss_is_that_before_the_step_and_an_lr_of_0_changes_nothing() -> None:
    trainer, [batch] = new_trainer(), batches(1)
    trainer.set_train_mode()
    trainer.set_lr(0)
    first, accuracy = trainer.step(*batch)
    trainer.set_lr(1)
    second, _ = trainer.step(*batch)
    third, _ = trainer.step(*batch)
    assert first == second
    assert third < second
    assert 0 <= accuracy <= 1
    lrs = [group["lr"] for group in trainer.optimizer.param_groups]
    assert lrs == trainer.highest_lrs == [0.1, 0.1, 0.05, 0.05]


@pytest.mark.parametrize(("balance", "weight"), [("none", None), ("loss", torch.tensor([2.0, 2 / 3]))])
def test_the_loss_is_torch_s_with_smoothed_labels_and_classes_weighed_where_that_is_asked_for(
    balance: Balance, weight: torch.Tensor | None
) -> None:
    trainer, [(pixels, targets)] = new_trainer(balance=balance, label_smoothing=0.2), batches(1)
    trainer.set_train_mode()
    logits = copy.deepcopy(trainer.model)(pixels)
    expected = functional.cross_entropy(logits, targets, weight=weight, label_smoothing=0.2)
    assert trainer.step(pixels, targets)[0].item() == pytest.approx(expected.item(), abs=1e-6)


def test_an_epoch_trains_what_is_unfrozen_alone_at_an_lr_of_each_step() -> None:
    trainer, lrs = new_trainer(epochs=2), []
    frozen = {key: value.clone() for key, value in trainer.model[0].frozen.state_dict().items()}
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}

    trainer.optimizer.register_step_pre_hook(lambda optimizer, *_: lrs.append(optimizer.param_groups[0]["lr"]))
    loss, accuracy = trainer.train_epoch(iter(batches(4)), epoch=1, num_batches=4)
    assert lrs == pytest.approx([0.1 * warmup_cosine(done / 4, epochs=2, warmup_epochs=0) for done in range(1, 5)])
    assert math.isfinite(loss)
    assert 0 <= accuracy <= 1
    assert all(torch.equal(value, frozen[key]) for key, value in trainer.model[0].frozen.state_dict().items())
    changed = {key for key, value in trainer.model.state_dict().items() if not torch.equal(value, before[key])}
    assert {"0.layers.0.weight", "0.layers.1.running_mean", "1.weight"} <= changed


@pytest.mark.parametrize(("keep", "kept_epoch"), [("best", 1), ("last", 2)])
def test_the_averaged_weights_of_the_best_or_the_last_epoch_are_kept(keep: str, kept_epoch: int) -> None:
    trainer, averages = new_trainer(keep=keep), []
    trainer.set_train_mode()
    for number, val_loss in enumerate([0.9, 0.5, 0.7]):
        trainer.step(*batches(1)[0])
        averages.append(copy.deepcopy(trainer.average.state_dict()))
        trainer.on_epoch_end(epoch(number, val_loss))
    assert trainer.kept_epoch == kept_epoch
    assert [each.val_loss for each in trainer.curve] == [0.9, 0.5, 0.7]
    trainer.load_kept()
    assert all(torch.equal(value, averages[kept_epoch][key]) for key, value in trainer.model.state_dict().items())


def test_a_trainer_goes_on_from_a_state_as_the_one_that_it_is_of() -> None:
    trainer, other = new_trainer(), new_trainer()
    first, second = batches(2)
    trainer.set_train_mode()
    trainer.step(*first)
    trainer.on_epoch_end(epoch(0, 0.5))
    other.restore(copy.deepcopy(trainer.state()))
    other.set_train_mode()
    assert trainer.step(*second) == other.step(*second)
    for one, again in zip(trainer.average.state_dict().values(), other.average.state_dict().values(), strict=True):
        assert torch.equal(one, again)
    assert (other.curve, other.kept_epoch, other.kept_loss) == (trainer.curve, 0, 0.5)


@pytest.mark.parametrize(("epochs", "warmup"), [(10, 2), (4, 0), (3, 3)])
def test_the_lr_rises_in_a_line_and_falls_by_torch_s_cosine(epochs: int, warmup: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs - warmup))
    for number in range(epochs + 1):
        fraction = warmup_cosine(number, epochs=epochs, warmup_epochs=warmup)
        if number < warmup:
            assert fraction == pytest.approx(number / warmup)
        elif epochs > warmup:
            assert fraction == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            cosine.step()
        else:
            assert fraction == 1


def test_interpolated_weights_are_a_weighted_mean_and_what_is_frozen_stays_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    start = {"tuned": torch.randn(50, generator=generator), "frozen": torch.randn(50, generator=generator)}
    tuned = {"tuned": torch.randn(50, generator=generator), "frozen": start["frozen"].clone()}
    mixed = interpolate_weights({**start, "count": torch.tensor(3)}, {**tuned, "count": torch.tensor(9)}, alpha=0.3)
    assert torch.allclose(mixed["tuned"], 0.7 * start["tuned"] + 0.3 * tuned["tuned"], atol=1e-6)
    assert torch.equal(mixed["frozen"], start["frozen"])
    assert mixed["count"] == 9
