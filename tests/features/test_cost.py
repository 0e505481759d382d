"""What a backbone costs: the size is that of its weights, the time that of its passes."""

from factories import extract_settings
from networks import SIZE_PX, SMALL, load
from tandem.features.cost import measure_cost
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
