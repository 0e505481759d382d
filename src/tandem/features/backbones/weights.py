"""What torch.save wrote, read as data alone: a file of a stranger runs no code, and a damaged one is told in a line."""

import pickle
from pathlib import Path
from typing import Any

import torch

# what bytes can make the unpickler stumble over
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip


def load_state_dict(path: Path) -> Any:
    """Tensors, numbers, strings, and lists and dicts of them, on the CPU. Raises ValueError where it is not that."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ValueError(first_line(error)) from None


def first_line(error: Exception) -> str:
    """Of its message, or its name where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__
