"""What the sections `train` and `ensemble` hold; how params.yaml is checked against them: tests/pipeline."""

from typing import Any

import pytest

from factories import train_settings
from tandem.training.settings import _require_layer_counts


@pytest.mark.parametrize("value", [0, 5, {"resnet50": 5, "mobilenet_v2": 0}, {}])
def test_from_0_to_5_layers_are_unfrozen_of_all_backbones_or_by_name(value: Any) -> None:
    _require_layer_counts(value)


@pytest.mark.parametrize("value", [-1, 6, True, 2.0, "2", None, {"resnet50": 6}, {"resnet50": 1, "mobilenet_v2": -1}])
def test_other_numbers_of_layers_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is given; a whole number from 0 \(frozen\) to 5 \(all\) is needed") as error:
        _require_layer_counts(value)
    assert str(error.value).startswith(repr(value))


def test_a_backbone_that_is_not_named_is_frozen() -> None:
    by_name = train_settings(trainable_backbone_layers={"resnet50": 2, "mobilenet_v2": 0})
    assert by_name.num_trainable_layers("resnet50") == 2
    assert by_name.frozen(["resnet50", "mobilenet_v2", "squeezenet1_1"]) == ["mobilenet_v2", "squeezenet1_1"]
    assert train_settings(trainable_backbone_layers=1).frozen(["resnet50"]) == []
