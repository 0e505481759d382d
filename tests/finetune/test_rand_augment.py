"""Each operation is torchvision's own of that name, and the seed decides which are drawn."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tandem.finetune.augment import rand_augment, rand_augment_ops

SPACE = v2.RandAugment._AUGMENTATION_SPACE


def images(count: int) -> torch.Tensor:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 3, 5, 7))
    return torch.from_numpy(np.kron(coarse, np.ones((1, 1, 8, 8), int)).astype(np.uint8))


def test_the_operations_are_those_of_torchvision() -> None:
    assert set(rand_augment_ops) == set(SPACE)


@pytest.mark.parametrize("name", rand_augment_ops)
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_operation_is_what_torchvision_does_at_its_default_strength(name: str, sign: int) -> None:
    own = v2.RandAugment()
    [image] = images(1)
    magnitudes, is_signed = SPACE[name]
    values = magnitudes(own.num_magnitude_bins, *image.shape[1:])
    magnitude = 0.0 if values is None else float(values[own.magnitude]) * (sign if is_signed else 1)
    expected = own._apply_image_or_video_transform(image, name, magnitude, own.interpolation, own._fill)
    assert torch.equal(rand_augment_ops[name](image, sign), expected)
    assert torch.equal(expected, image) == (name == "Identity")


def test_the_seed_decides_and_each_image_is_drawn_on_its_own() -> None:
    same = images(1).expand(12, -1, -1, -1)
    one, again, other = (rand_augment(same, num_operations=2, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len({image.numpy().tobytes() for image in one}) > 8
    assert torch.equal(rand_augment(same, num_operations=0, rng=np.random.default_rng(0)), same)
