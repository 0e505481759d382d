"""The batches of an epoch: whose seed decides them, whole, and with soft targets."""

import numpy as np
import pytest
import torch

from factories import augment_settings, finetune_settings
from tandem.finetune.batches import ImageSet, augmented_batches, epoch_seed, sample_epoch

CPU = torch.device("cpu")
PLAIN = augment_settings(min_scale=1.0, flip=False, color_jitter=0.0)


def test_each_epoch_of_each_seed_has_a_seed_of_its_own() -> None:
    seeds = {epoch_seed(finetune_settings(seed=seed), epoch) for seed in range(3) for epoch in range(5)}
    assert len(seeds) == 15
    assert epoch_seed(finetune_settings(seed=1), 2) == epoch_seed(finetune_settings(seed=1), 2)


@pytest.mark.parametrize(("num_images", "sizes"), [(19, [8, 8]), (16, [8, 8]), (5, [5])])
def test_a_smaller_last_batch_is_left_out_unless_it_is_the_only_one(num_images: int, sizes: list[int]) -> None:
    targets = torch.arange(num_images) % 2
    sampled = sample_epoch(targets, finetune_settings(batch_size=8), balance="none", epoch=1)
    assert [len(rows) for rows in sampled] == sizes
    assert len(set(torch.cat(sampled).tolist())) == sum(sizes)


def test_the_sampler_takes_classes_equally_often_and_each_epoch_other_images() -> None:
    targets = torch.tensor([0] * 190 + [1] * 10)
    settings = finetune_settings(batch_size=50)
    one, again, other = (
        torch.cat(sample_epoch(targets, settings, balance="sampler", epoch=epoch)) for epoch in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert 0.35 < targets[one].float().mean() < 0.65
    assert targets[torch.cat(sample_epoch(targets, settings, balance="none", epoch=1))].float().mean() == 0.05


def test_batches_are_the_images_of_their_rows_with_one_hot_targets() -> None:
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 8, 8, 3), np.uint8)
    train, rows = ImageSet(pixels, torch.arange(6) % 3), [torch.tensor([4, 0]), torch.tensor([5, 5])]
    found = list(augmented_batches(train, rows, finetune_settings(size_px=32, augment=PLAIN), epoch=1, device=CPU))
    assert [batch.shape for batch, _ in found] == [(2, 32, 32, 3)] * 2
    assert [batch.mean((1, 2, 3)).tolist() for batch, _ in found] == [[4, 0], [5, 5]]
    assert torch.equal(found[0][1], torch.tensor([[0.0, 1, 0], [1, 0, 0]]))


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_batches_have_soft_targets(mix: str) -> None:
    train = ImageSet(np.zeros((8, 32, 32, 3), np.uint8), torch.arange(8) % 2)
    batches = augmented_batches(train, [torch.arange(8)] * 5, finetune_settings(mix=mix), epoch=1, device=CPU)
    targets = torch.cat([soft for _, soft in batches])
    assert torch.allclose(targets.sum(1), torch.ones(40))
    assert ((targets > 0.01) & (targets < 0.99)).any()


def test_the_seed_decides_the_order_of_the_batches_and_how_images_are_varied() -> None:
    targets = torch.arange(24) % 3
    orders = [
        torch.cat(sample_epoch(targets, finetune_settings(seed=seed), balance="none", epoch=epoch)).tolist()
        for seed, epoch in ((0, 1), (0, 1), (1, 1), (0, 2))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3] != orders[0]
    pixels = np.random.default_rng(0).integers(0, 256, (8, 40, 40, 3), dtype=np.uint8)
    varied = [
        next(
            augmented_batches(
                ImageSet(pixels, targets[:8]), [torch.arange(8)], finetune_settings(seed=seed), epoch=epoch, device=CPU
            )
        )[0]
        for seed, epoch in ((0, 1), (0, 1), (1, 1), (0, 2))
    ]
    assert torch.equal(varied[0], varied[1])
    assert not torch.equal(varied[0], varied[2])
    assert not torch.equal(varied[0], varied[3])
