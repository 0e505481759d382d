"""Which backbones are fine-tuned."""

import pytest

from tandem.finetune.job import frozen_backbones, trainable_layers_of

NAMES = ("resnet50", "mobilenet_v2")


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [(0, ["resnet50", "mobilenet_v2"]), (2, []), ({"mobilenet_v2": 1}, ["resnet50"]), ({"resnet50": 0}, list(NAMES))],
)
def test_backbones_without_a_unfreezeed_layer_are_frozen(trainable: int | dict[str, int], expected: list[str]) -> None:
    assert frozen_backbones(trainable, NAMES) == expected
    assert [name for name in NAMES if trainable_layers_of(trainable, name) == 0] == expected
