"""Varied images: the same by the same seed, within bounds, and without any variation the image itself."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from factories import augment_settings
from tandem.finetune.augment import apply_operation, augment, mix, rand_augment

SIDE = 24
SPACE = v2.RandAugment._AUGMENTATION_SPACE


def images(count: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def varied(pixels: torch.Tensor, *, seed: int = 0, size_px: int = SIDE, **changes: object) -> torch.Tensor:
    settings = augment_settings(**{"min_scale": 0.3, "flip": True, "color_jitter": 0.4, **changes})
    return augment(pixels, size_px=size_px, settings=settings, rng=np.random.default_rng(seed))


def test_the_seed_decides_and_each_image_is_varied_on_its_own() -> None:
    one, other = varied(images(), seed=1), varied(images(), seed=2)
    assert torch.equal(one, varied(images(), seed=1))
    assert one.shape == (6, SIDE, SIDE, 3)
    assert one.dtype == torch.float32
    assert not torch.allclose(one, other)
    same = images()[:1].expand(6, -1, -1, -1)
    assert len({image.numpy().tobytes() for image in varied(same)}) == 6


def test_values_stay_those_of_an_image() -> None:
    found = torch.stack([varied(images(), seed=seed, color_jitter=0.9) for seed in range(20)])
    assert (found.min(), found.max()) == (0, 255)  # black and white, and no further


def test_a_whole_crop_without_flip_and_color_is_the_image() -> None:
    found = varied(images(), min_scale=1.0, flip=False, color_jitter=0.0)
    distances = (found - images().float()).abs().mean((1, 2, 3))
    # a crop of the whole area is a little narrower or lower where its ratio is other than 1
    assert distances.max() < 60
    flat = torch.full((4, SIDE, SIDE, 3), 77, dtype=torch.uint8)
    assert torch.allclose(varied(flat, min_scale=0.2, color_jitter=0.0), torch.tensor(77.0), atol=1e-3)


def test_a_crop_lies_within_the_image_and_keeps_its_fraction_of_the_area() -> None:
    ramp = torch.arange(256, dtype=torch.uint8)[None, None, :, None].expand(40, 256, 256, 3)
    found = varied(ramp, seed=3, size_px=64, min_scale=0.25, color_jitter=0.0)
    widths = (found[:, 0, -1, 0] - found[:, 0, 0, 0]) * 64 / 63 / 256  # negative where mirrored
    assert 5 < int((widths < 0).sum()) < 35
    assert widths.abs().min() > 0.4  # half the side, at the narrowest ratio 0.43
    assert widths.abs().max() <= 1.01


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_pixels_and_targets_are_mixed_by_the_same_fraction(kind: str) -> None:
    values = torch.tensor([0.0, 100.0, 200.0])
    pixels = values[:, None, None, None].expand(-1, 20, 20, 3).clone()
    num_mixed = 0
    for seed in range(8):
        mixed, targets = mix(pixels, torch.eye(3), kind=kind, rng=np.random.default_rng(seed))
        assert torch.allclose(mixed.mean((1, 2, 3)), targets @ values, atol=0.01)
        assert torch.allclose(targets.sum(1), torch.ones(3))
        num_mixed += not torch.equal(targets, torch.eye(3))
    assert num_mixed > 4


def test_none_mixes_nothing() -> None:
    pixels, targets = images(), torch.eye(6)
    assert mix(pixels, targets, kind="none", rng=np.random.default_rng(0)) == (pixels, targets)


def coarse(count: int) -> torch.Tensor:
    """(count, 3, 40, 56) uint8: images of colored squares."""
    squares = np.random.default_rng(0).integers(0, 256, (count, 3, 5, 7))
    return torch.from_numpy(np.kron(squares, np.ones((1, 1, 8, 8), int)).astype(np.uint8))


@pytest.mark.parametrize("name", SPACE)
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_operation_is_torchvision_s_of_that_name(name: str, sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    [image] = coarse(1)
    # of one operation, by a generator that gives this sign
    monkeypatch.setattr(v2.RandAugment, "_AUGMENTATION_SPACE", {name: SPACE[name]})
    seed = next(n for n in range(99) if (sign < 0) == (torch.rand((2,), generator=seeded_by(n))[1] <= 0.5))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        expected = v2.RandAugment(num_ops=1)(image)
    assert torch.equal(apply_operation(image, name, sign=sign), expected)
    assert torch.equal(expected, image) == (name == "Identity")


def seeded_by(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rand_augment_leaves_torch_s_generator_alone_and_varies_each_image_on_its_own() -> None:
    same, before = coarse(1).expand(12, -1, -1, -1), torch.get_rng_state()
    one, again, other = (rand_augment(same, num_ops=2, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len({image.numpy().tobytes() for image in one}) > 8
    assert torch.equal(rand_augment(same, num_ops=0, rng=np.random.default_rng(0)), same)


def test_rand_augment_comes_before_the_crop_and_is_of_the_same_seed() -> None:
    plain = {"min_scale": 1.0, "flip": False, "color_jitter": 0.0}
    assert not torch.allclose(varied(images(), rand_augment_ops=2, **plain), varied(images(), **plain))
    assert torch.equal(varied(images(), rand_augment_ops=2), varied(images(), rand_augment_ops=2))


def test_brightness_goes_both_ways_by_as_much_as_is_asked_for() -> None:
    gray = torch.full((300, 4, 4, 3), 100, dtype=torch.uint8)  # of which contrast and saturation change nothing
    found = varied(gray, size_px=4, min_scale=1.0, color_jitter=0.4)[:, 0, 0, 0]
    assert 60 <= found.min() < 62
    assert 138 < found.max() <= 140.001
    assert found.median() == pytest.approx(100, abs=6)


def test_half_of_the_images_are_mirrored() -> None:
    ramp = torch.arange(0, 200, 50, dtype=torch.uint8)[None, None, :, None].expand(2000, 4, 4, 3)
    found = varied(ramp, size_px=4, min_scale=1.0, color_jitter=0.0)
    assert int((found[:, 0, 0, 0] > found[:, 0, -1, 0]).sum()) == pytest.approx(1000, abs=90)  # four sigma


def test_what_is_pasted_may_lie_at_every_edge() -> None:
    values = torch.tensor([0.0, 100.0])
    pixels = values[:, None, None, None].expand(-1, 6, 6, 3).clone()
    edges = set()
    for seed in range(60):
        mixed, _ = mix(pixels, torch.eye(2), kind="cutmix", rng=np.random.default_rng(seed))
        rows, columns = np.nonzero((mixed[0, :, :, 0] == 100).numpy())
        if 0 < len(rows) < 36:
            edges |= {(rows.min(), "top"), (columns.min(), "left"), (5 - rows.max(), "bottom")}
            edges |= {(5 - columns.max(), "right")}
    assert {name for distance, name in edges if distance == 0} == {"top", "left", "bottom", "right"}


def test_mixup_leaves_most_images_nearly_as_they_are() -> None:
    pixels, targets = torch.zeros(2, 1, 1, 3), torch.eye(2)
    rng = np.random.default_rng(0)
    fractions = [mix(pixels, targets, kind="mixup", rng=rng)[1].max() for _ in range(2000)]
    fractions = np.array([float(value) for value in fractions if value < 1])  # where each is mixed with the other
    alpha = 0.2
    expected = np.random.default_rng(1).beta(alpha, alpha, 200_000)
    assert np.maximum(fractions, 1 - fractions).mean() == pytest.approx(
        np.maximum(expected, 1 - expected).mean(), abs=0.02
    )
