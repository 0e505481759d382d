"""Which device computes."""

import pytest
import torch

from tandem.errors import ParamsError
from tandem.features.device import computes_bfloat16, select_device


def test_the_cpu_is_always_there_and_auto_is_a_device_that_computes() -> None:
    assert select_device("cpu") == torch.device("cpu")
    device = select_device("auto")
    assert torch.ones(2, device=device).sum() == 2
    assert device.type == "cpu" or {"cuda": torch.cuda, "mps": torch.backends.mps}[device.type].is_available()


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_an_error_that_names_what_is(name: str) -> None:
    if {"cuda": torch.cuda, "mps": torch.backends.mps}[name].is_available():
        pytest.skip(f"this machine has {name}")
    with pytest.raises(ParamsError, match=rf"runtime\.device is '{name}', but torch finds only .*cpu here; take one"):
        select_device(name)


def test_a_cpu_computes_bfloat16_where_it_has_an_instruction_for_it() -> None:
    has_it = any(there and "bf16" in name for name, there in torch.cpu.get_capabilities().items())
    assert computes_bfloat16(torch.device("cpu")) == has_it
    assert not computes_bfloat16(torch.device("mps"))
