"""Tensors as a file that torch reads: what fine-tuning and heads leave."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tandem.files import atomic_file


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors, numbers, strings, and lists and dicts of them, whole or not at all.

    In memory first: of a disk that is full, or of a file's size that has a limit, torch.save raises a RuntimeError that
    does not say so.
    """
    data = io.BytesIO()
    torch.save(state, data)
    with atomic_file(path) as temporary:
        temporary.write_bytes(data.getbuffer())
