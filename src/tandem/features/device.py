"""The device that computes, and what it can."""

import torch

from tandem.errors import ParamsError


def select_device(name: str) -> torch.device:
    """The device of runtime.device; auto is the fastest kind that torch finds. Raises ParamsError."""
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, is_available in kinds.items() if is_available]
    if name != "auto" and name not in usable:
        raise ParamsError(
            f"runtime.device is {name!r}, but torch finds only {', '.join(usable)} here; take one of them"
        )
    return torch.device(usable[0] if name == "auto" else name)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has units for bfloat16; emulated it is no faster than float32."""
    if device.type == "cpu":
        capabilities = {name for name, is_there in torch.cpu.get_capabilities().items() if is_there}
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & capabilities)
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
