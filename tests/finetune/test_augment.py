"""Varied images: the same by the same seed, within bounds, and without any variation the image itself."""

import numpy as np
import pytest
import torch

from tandem.finetune.augment import Augment, augment, mix

SIDE = 24


def images(count: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def varied(seed: int, **changes: object) -> torch.Tensor:
    settings = Augment(**{"scale": 0.3, "flip": True, "color": 0.4, **changes})
    return augment(images(), size_px=SIDE, settings=settings, rng=np.random.default_rng(seed))


def test_the_seed_decides_and_each_image_is_drawn_on_its_own() -> None:
    one, other = varied(1), varied(2)
    assert torch.equal(one, varied(1))
    assert one.shape == (6, SIDE, SIDE, 3)
    assert one.dtype == torch.float32
    assert not torch.allclose(one, other)
    same = images()[:1].expand(6, -1, -1, -1)
    drawn = augment(same, size_px=SIDE, settings=Augment(0.3, True, 0.4), rng=np.random.default_rng(0))
    assert len({image.numpy().tobytes() for image in drawn}) == 6


def test_values_stay_those_of_a_image() -> None:
    for seed in range(20):
        found = varied(seed, color=0.9)
        assert found.min() >= 0
        assert found.max() <= 255


def test_a_whole_crop_without_flip_and_color_is_the_image() -> None:
    found = varied(0, scale=1.0, flip=False, color=0.0)
    ratios = (found - images().float()).abs().mean((1, 2, 3))
    # a crop of the whole area is a little narrower or lower where its ratio is drawn other than 1
    assert ratios.max() < 60
    flat = torch.full((4, SIDE, SIDE, 3), 77, dtype=torch.uint8)
    plain = augment(flat, size_px=SIDE, settings=Augment(0.2, True, 0.0), rng=np.random.default_rng(0))
    assert torch.allclose(plain, torch.tensor(77.0), atol=1e-3)


def test_a_crop_lies_within_the_image_and_keeps_its_share() -> None:
    ramp = torch.arange(256, dtype=torch.uint8)[None, None, :, None].expand(40, 256, 256, 3)
    found = augment(ramp, size_px=64, settings=Augment(0.25, True, 0.0), rng=np.random.default_rng(3))
    widths = (found[:, 0, -1, 0] - found[:, 0, 0, 0]) * 64 / 63 / 256  # negative where mirrored
    assert 5 < int((widths < 0).sum()) < 35
    assert widths.abs().min() > 0.4  # half the side, at the narrowest ratio 0.43
    assert widths.abs().max() <= 1.01


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_pixels_and_targets_are_mixed_by_the_same_share(kind: str) -> None:
    values = torch.tensor([0.0, 100.0, 200.0])
    pixels = values[:, None, None, None].expand(-1, 20, 20, 3).clone()
    moved = 0
    for seed in range(8):
        mixed, targets = mix(pixels, torch.eye(3), kind=kind, rng=np.random.default_rng(seed))
        assert torch.allclose(mixed.mean((1, 2, 3)), targets @ values, atol=0.01)
        assert torch.allclose(targets.sum(1), torch.ones(3))
        moved += not torch.equal(targets, torch.eye(3))
    assert moved > 4


def test_none_mixes_nothing() -> None:
    x, y = images(), torch.eye(6)
    assert mix(x, y, kind="none", rng=np.random.default_rng(0)) == (x, y)


def test_rand_augment_comes_before_the_crop_and_is_drawn_by_the_same_seed() -> None:
    plain = {"scale": 1.0, "flip": False, "color": 0.0}
    assert not torch.allclose(varied(0, rand_operations=2, **plain), varied(0, **plain))
    assert torch.equal(varied(0, rand_operations=2), varied(0, rand_operations=2))
