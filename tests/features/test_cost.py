"""What a backbone costs: the size is that of its weights, the time that of its passes."""

from torchvision import models

from factories import extract_settings
from networks import SIZE_PX, SMALL, load
from tandem.features.cost import measure_cost, num_values_read
from tandem.features.settings import BackboneSettings


def test_a_larger_network_takes_more_time_and_room() -> None:
    settings = extract_settings(size_px=SIZE_PX, engine="reference")
    small, large = (
        measure_cost(name, BackboneSettings("random"), settings, device="cpu", batch_size=8)
        for name in (SMALL, "wide_resnet50_2")
    )
    values = sum(each.numel() for each in load(SMALL).net.parameters())
    assert small.megabytes == 4 * values / 1e6
    assert small.engine == "torch float32"
    assert 0 < small.ms < large.ms


def test_the_size_of_a_network_that_ends_at_an_earlier_layer_is_that_of_what_is_read() -> None:
    backbone = load("resnet18", BackboneSettings("random", layer="layer2"))
    whole = models.resnet18(num_classes=1000)
    parts = (whole.conv1, whole.bn1, whole.layer1, whole.layer2)
    expected = sum(each.numel() for part in parts for each in part.parameters())
    assert num_values_read(backbone.net, size_px=SIZE_PX) == expected
    assert not any(each.requires_grad for each in backbone.net.parameters())
